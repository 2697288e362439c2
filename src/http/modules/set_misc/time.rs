//! `set_formatted_gmt_time` and `set_formatted_local_time`: `strftime`.

use crate::base::date::{Date, LONG_MONTHS, LONG_WEEK};

/// Writes a time as the format says; conversions nobody knows stay as they are.
pub fn format(format: &[u8], secs: i64, local: bool) -> Vec<u8> {
    let date = if local { Date::local(secs) } else { Date::utc(secs) };
    let mut out = Vec::with_capacity(format.len() * 2);
    let mut rest = format.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let Some(what) = rest.next() else { break };
                out.extend_from_slice(conversion(&date, what, secs).as_bytes());
            }
            _ => out.push(byte),
        }
    }
    out
}

fn conversion(date: &Date, what: u8, secs: i64) -> String {
    let Date { year, month, day, hour, min, sec, weekday, offset_min } = *date;
    let hour12 = if hour.is_multiple_of(12) { 12 } else { hour % 12 };
    let weekday_name = LONG_WEEK[weekday as usize % 7];
    let month_name = LONG_MONTHS[(month as usize).clamp(1, 12) - 1];
    match what {
        b'Y' => year.to_string(),
        b'y' => format!("{:02}", year % 100),
        b'm' => format!("{month:02}"),
        b'd' => format!("{day:02}"),
        b'e' => format!("{day:2}"),
        b'H' => format!("{hour:02}"),
        b'I' => format!("{hour12:02}"),
        b'M' => format!("{min:02}"),
        b'S' => format!("{sec:02}"),
        b'p' => if hour < 12 { "AM" } else { "PM" }.into(),
        b'a' => weekday_name[..3].into(),
        b'A' => weekday_name.into(),
        b'b' | b'h' => month_name[..3].into(),
        b'B' => month_name.into(),
        b'u' => if weekday == 0 { 7 } else { weekday }.to_string(),
        b'w' => weekday.to_string(),
        b'F' => format!("{year}-{month:02}-{day:02}"),
        b'D' => format!("{month:02}/{day:02}/{:02}", year % 100),
        b'T' => format!("{hour:02}:{min:02}:{sec:02}"),
        b'R' => format!("{hour:02}:{min:02}"),
        b'c' => format!(
            "{} {} {day:2} {hour:02}:{min:02}:{sec:02} {year}",
            &weekday_name[..3],
            &month_name[..3]
        ),
        b's' => secs.to_string(),
        b'z' => {
            let minutes = offset_min.unsigned_abs();
            let sign = if offset_min < 0 { '-' } else { '+' };
            format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
        }
        b'Z' => if offset_min == 0 { "GMT" } else { "" }.into(),
        b'n' => "\n".into(),
        b't' => "\t".into(),
        b'%' => "%".into(),
        other => format!("%{}", char::from(other)),
    }
}
