//! Dates as text: HTTP, cookies, logs, and `ngx.localtime` and friends.
//!
//! ```text
//!   seconds since 1970 ─▶ Date (civil fields) ─▶ http_time  cookie_time  error_log  access_log …
//!   "Tue, 10 Nov 2002 23:50:13 GMT" ─▶ parse_http_time ─▶ seconds
//! ```

use crate::base::tz;

/// A moment in civil fields, in UTC or in local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    pub year: i64,
    /// From 1.
    pub month: u32,
    /// From 1.
    pub day: u32,
    pub hour: u32,
    pub min: u32,
    pub sec: u32,
    /// 0 is Sunday.
    pub weekday: u32,
    /// Minutes east of UTC.
    pub offset_min: i32,
}

impl Date {
    /// The UTC date at `secs`; times before 1970 become 1970, after 9999 its last second (nginx).
    pub fn utc(secs: i64) -> Self {
        let (days, of_day) = match secs.max(0) {
            s if s / DAY_SECS > LAST_DAY => (LAST_DAY, DAY_SECS - 1),
            s => (s / DAY_SECS, s % DAY_SECS),
        };
        let (year, month, day) = civil(days);
        Self {
            year,
            month,
            day,
            hour: (of_day / 3600) as u32,
            min: (of_day / 60 % 60) as u32,
            sec: (of_day % 60) as u32,
            weekday: ((days + 4) % 7) as u32,
            offset_min: 0,
        }
    }

    /// The local date at `secs`.
    pub fn local(secs: i64) -> Self {
        let offset_secs = tz::offset_secs(secs);
        Self { offset_min: offset_secs / 60, ..Self::utc(secs + i64::from(offset_secs)) }
    }

    fn month_name(self) -> &'static str {
        MONTHS[self.month as usize - 1]
    }

    /// Appends ` +0600` or `+06:00`.
    fn zone(self, text: &mut Text, colon: &str) {
        let minutes = self.offset_min.unsigned_abs();
        text.put(if self.offset_min < 0 { "-" } else { "+" });
        text.two(minutes / 60).put(colon).two(minutes % 60);
    }

    /// Appends `2006-01-02` with this separator.
    fn days(self, text: &mut Text, separator: &str) {
        text.four(self.year).put(separator).two(self.month).put(separator).two(self.day);
    }

    /// Appends `15:04:05`.
    fn clock(self, text: &mut Text) {
        text.two(self.hour).put(":").two(self.min).put(":").two(self.sec);
    }
}

/// `Mon, 28 Sep 1970 06:00:00 GMT`
pub fn http_time(secs: i64) -> String {
    let d = Date::utc(secs);
    let mut text = Text::new();
    text.put(WEEK[d.weekday as usize]).put(", ").two(d.day).put(" ").put(d.month_name());
    text.put(" ").four(d.year).put(" ");
    d.clock(&mut text);
    text.put(" GMT").done()
}

/// `Mon, 28-Sep-70 06:00:00 GMT`; four digits of the year only after 2037, as nginx.
pub fn cookie_time(secs: i64) -> String {
    let d = Date::utc(secs);
    let mut text = Text::new();
    text.put(WEEK[d.weekday as usize]).put(", ").two(d.day).put("-").put(d.month_name()).put("-");
    match d.year > 2037 {
        true => text.four(d.year),
        false => text.two((d.year % 100) as u32),
    };
    text.put(" ");
    d.clock(&mut text);
    text.put(" GMT").done()
}

/// `1970/09/28 12:00:00`, local: the head of an error log line.
pub fn error_log_time(secs: i64) -> String {
    days_and_clock(Date::local(secs), "/")
}

/// `28/Sep/1970:12:00:00 +0600`, local: `$time_local`.
pub fn access_log_time(secs: i64) -> String {
    let d = Date::local(secs);
    let mut text = Text::new();
    text.two(d.day).put("/").put(d.month_name()).put("/").four(d.year).put(":");
    d.clock(&mut text);
    text.put(" ");
    d.zone(&mut text, "");
    text.done()
}

/// `1970-09-28T12:00:00+06:00`, local: `$time_iso8601`.
pub fn iso8601_time(secs: i64) -> String {
    let d = Date::local(secs);
    let mut text = Text::new();
    d.days(&mut text, "-");
    text.put("T");
    d.clock(&mut text);
    d.zone(&mut text, ":");
    text.done()
}

/// `Sep 28 12:00:00`, local: the head of a syslog message.
pub fn syslog_time(secs: i64) -> String {
    let d = Date::local(secs);
    let mut text = Text::new();
    text.put(d.month_name()).put(" ");
    match d.day < 10 {
        true => text.put(" ").put(&d.day.to_string()),
        false => text.two(d.day),
    };
    text.put(" ");
    d.clock(&mut text);
    text.done()
}

/// `1970-09-28`, local: `ngx.today()`.
pub fn today(secs: i64) -> String {
    let mut text = Text::new();
    Date::local(secs).days(&mut text, "-");
    text.done()
}

/// `1970-09-28 12:00:00`, local: `ngx.localtime()`.
pub fn local_time(secs: i64) -> String {
    days_and_clock(Date::local(secs), "-")
}

/// `1970-09-28 12:00:00`: `ngx.utctime()`.
pub fn utc_time(secs: i64) -> String {
    days_and_clock(Date::utc(secs), "-")
}

/// `Sep 28 12:00:00 2026 GMT`, as OpenSSL prints the dates of a certificate.
pub fn cert_time(secs: i64) -> String {
    let d = Date::utc(secs);
    let mut text = Text::new();
    text.put(d.month_name()).put(if d.day < 10 { "  " } else { " " });
    text.put(&d.day.to_string()).put(" ");
    d.clock(&mut text);
    text.put(" ").four(d.year).put(" GMT").done()
}

/// Reads the three date formats of HTTP, as tolerant as nginx.
///
/// ```text
///   Tue, 10 Nov 2002 23:50:13 GMT     Tuesday, 10-Dec-02 23:50:13 GMT     Tue Dec 10 23:50:13 2002
/// ```
pub fn parse_http_time(text: &[u8]) -> Option<i64> {
    let head = text.iter().position(|&c| c == b',' || c == b' ')?;
    let mut r = Reader { rest: text[head + 1..].trim_ascii_start() };
    if r.rest.len() < 18 {
        return None;
    }
    if text[head] == b' ' {
        let month = r.month()?;
        r.one(b' ')?;
        r.skip(b' ');
        let day = r.day()?;
        r.one(b' ')?;
        let of_day = r.clock()?;
        r.one(b' ')?;
        let year = r.number(4)?;
        return seconds(year, month, day, of_day);
    }
    let day = r.number(2)?;
    let dash = *r.rest.first()? == b'-';
    let separator = if dash { b'-' } else { b' ' };
    r.one(separator)?;
    let month = r.month()?;
    r.one(separator)?;
    let year = match dash {
        true => r.number(2).map(|y| if y < 70 { y + 2000 } else { y + 1900 })?,
        false => r.number(4)?,
    };
    r.one(b' ')?;
    let of_day = r.clock()?;
    seconds(year, month, day, of_day)
}

/// Puts a date together; dates are written often, and the standard formatter is slow at it.
struct Text(String);

impl Text {
    fn new() -> Self {
        Self(String::with_capacity(32))
    }

    fn put(&mut self, piece: &str) -> &mut Self {
        self.0.push_str(piece);
        self
    }

    fn two(&mut self, number: u32) -> &mut Self {
        for digit in [number / 10 % 10, number % 10] {
            self.0.push(char::from(b'0' + digit as u8));
        }
        self
    }

    fn four(&mut self, year: i64) -> &mut Self {
        self.two((year / 100) as u32).two((year % 100) as u32)
    }

    fn done(&mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

/// Takes the pieces of a date off the front of a text.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn one(&mut self, wanted: u8) -> Option<()> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        (first == wanted).then_some(())
    }

    fn skip(&mut self, unwanted: u8) {
        if self.rest.first() == Some(&unwanted) {
            self.rest = &self.rest[1..];
        }
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let (head, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        head.iter().try_fold(0, |n, c| c.is_ascii_digit().then(|| n * 10 + i64::from(c - b'0')))
    }

    /// One or two digits.
    fn day(&mut self) -> Option<i64> {
        let two = self.rest.get(1).is_some_and(u8::is_ascii_digit);
        self.number(if two { 2 } else { 1 })
    }

    /// The month by its three letters.
    fn month(&mut self) -> Option<i64> {
        let (name, rest) = self.rest.split_at_checked(3)?;
        self.rest = rest;
        MONTHS.iter().position(|m| m.as_bytes() == name).map(|i| i as i64 + 1)
    }

    /// Seconds since midnight.
    fn clock(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        self.one(b':')?;
        let min = self.number(2)?;
        self.one(b':')?;
        let sec = self.number(2)?;
        (hour < 24 && min < 60 && sec < 60).then_some(hour * 3600 + min * 60 + sec)
    }
}

fn days_and_clock(d: Date, separator: &str) -> String {
    let mut text = Text::new();
    d.days(&mut text, separator);
    text.put(" ");
    d.clock(&mut text);
    text.done()
}

/// Seconds since 1970 at a date and a second of the day, in UTC; `None` for a day that is not.
pub fn seconds(year: i64, month: i64, day: i64, of_day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    ((1..=12).contains(&month) && (1..=last).contains(&day))
        .then(|| days_before(year, month, day) * DAY_SECS + of_day)
}

/// Year, month and day of a day counted from 1970; years are counted from March, so that the leap
/// day comes last.
fn civil(days: i64) -> (i64, u32, u32) {
    let since_march_0 = days + 719_468;
    let era = since_march_0.div_euclid(146_097);
    let of_era = since_march_0.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u32, day as u32)
}

fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let year_of_era = year.rem_euclid(400);
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

const DAY_SECS: i64 = 86_400;
/// December 31, 9999.
const LAST_DAY: i64 = 2_932_896;
/// The names in full; the short ones are their first three letters.
pub const LONG_WEEK: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub const LONG_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEK: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_those_of_nginx() {
        assert_eq!(http_time(1_290_079_655), "Thu, 18 Nov 2010 11:27:35 GMT");
        assert_eq!(cookie_time(1_290_079_655), "Thu, 18-Nov-10 11:27:35 GMT");
        assert_eq!(cookie_time(2_147_483_648), "Tue, 19-Jan-2038 03:14:08 GMT");
        assert_eq!(http_time(-5), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_time(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(utc_time(951_782_400), "2000-02-29 00:00:00");
    }

    #[test]
    fn three_formats_are_read() {
        for text in [
            "Thu, 18 Nov 2010 11:27:35 GMT",
            "Thursday, 18-Nov-10 11:27:35 GMT",
            "Thu Nov 18 11:27:35 2010",
        ] {
            assert_eq!(parse_http_time(text.as_bytes()), Some(1_290_079_655), "{text}");
        }
        for text in ["", "x", "Thu, 18 Nov 2010 24:27:35", "Thu, 30 Feb 2010 11:27:35 GMT"] {
            assert_eq!(parse_http_time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn reading_undoes_writing() {
        for secs in (0..4_000_000_000).step_by(86_399 * 7) {
            assert_eq!(parse_http_time(http_time(secs).as_bytes()), Some(secs));
        }
    }
}
