//! `$date_local` and `$date_gmt`, as `config timefmt` has them.

use std::{fmt::Write, rc::Rc};

use bytes::Bytes;

use crate::{
    base::{
        clock,
        date::{Date, LONG_MONTHS, LONG_WEEK},
    },
    http::{
        request::Request,
        vars::{VarRow, var_live},
    },
};

use super::state::TimeFormat;

pub const VARS: &[VarRow] = &[
    var_live("date_local", |r, _| Some(show(r, false))),
    var_live("date_gmt", |r, _| Some(show(r, true))),
];

fn show(r: &Rc<Request>, gmt: bool) -> Bytes {
    let secs = clock::wall().secs;
    let format = r.main().kept::<TimeFormat>().0.borrow().clone();
    let format = format.unwrap_or_else(|| Bytes::from_static(USUAL));
    let parts = if gmt { Date::utc(secs) } else { Date::local(secs) };
    render(&format, &parts, secs, gmt).into()
}

/// The letters of strftime.
fn render(format: &[u8], p: &Date, secs: i64, gmt: bool) -> String {
    let mut out = String::new();
    let mut bytes = format.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'%' {
            out.push(char::from(*byte));
            continue;
        }
        let hour_12 = (p.hour + 11) % 12 + 1;
        // Writing to a String cannot fail.
        let _ = match bytes.next() {
            Some(b'A') => write!(out, "{}", LONG_WEEK[p.weekday as usize % 7]),
            Some(b'a') => write!(out, "{}", &LONG_WEEK[p.weekday as usize % 7][..3]),
            Some(b'B') => write!(out, "{}", LONG_MONTHS[(p.month as usize + 11) % 12]),
            Some(b'b' | b'h') => write!(out, "{}", &LONG_MONTHS[(p.month as usize + 11) % 12][..3]),
            Some(b'd') => write!(out, "{:02}", p.day),
            Some(b'e') => write!(out, "{:2}", p.day),
            Some(b'H') => write!(out, "{:02}", p.hour),
            Some(b'I') => write!(out, "{hour_12:02}"),
            Some(b'M') => write!(out, "{:02}", p.min),
            Some(b'm') => write!(out, "{:02}", p.month),
            Some(b'p') => write!(out, "{}", if p.hour < 12 { "AM" } else { "PM" }),
            Some(b'S') => write!(out, "{:02}", p.sec),
            Some(b's') => write!(out, "{secs}"),
            Some(b'T') => write!(out, "{:02}:{:02}:{:02}", p.hour, p.min, p.sec),
            Some(b'F') => write!(out, "{:04}-{:02}-{:02}", p.year, p.month, p.day),
            Some(b'D') => write!(out, "{:02}/{:02}/{:02}", p.month, p.day, p.year % 100),
            Some(b'Y') => write!(out, "{}", p.year),
            Some(b'y') => write!(out, "{:02}", p.year % 100),
            Some(b'Z') if gmt => write!(out, "GMT"),
            Some(b'Z') if p.offset_min == 0 => write!(out, "UTC"),
            // Zones have no names here.
            Some(b'Z' | b'z') => {
                let minutes = p.offset_min.unsigned_abs();
                let sign = if p.offset_min < 0 { '-' } else { '+' };
                write!(out, "{sign}{:02}{:02}", minutes / 60, minutes % 60)
            }
            Some(b'n') => writeln!(out),
            Some(b't') => write!(out, "\t"),
            Some(b'%') => write!(out, "%"),
            Some(other) => write!(out, "%{}", char::from(*other)),
            None => write!(out, "%"),
        };
    }
    out
}

const USUAL: &[u8] = b"%A, %d-%b-%Y %H:%M:%S %Z";
