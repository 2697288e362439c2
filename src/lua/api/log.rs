//! `ngx.log` and `print`.

use std::ffi::c_int;

use super::Topic;
use crate::base::log::Level;
use crate::lua::ctx;
use crate::lua::phase::ANY;
use crate::lua::raw::{Call, Kind, Op, Raise, trace};

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "log.log", phases: ANY, run: log },
    Op { name: "log.print", phases: ANY, run: |c| write(c, Level::Notice, 1) },
    Op { name: "log.level", phases: ANY, run: |c| c.ret(ctx::log_level() as i32) },
    Op { name: "log.raw", phases: ANY, run: raw },
]);

fn log(c: &Call<'_>) -> Result<c_int, Raise> {
    let number = c.int(1)?;
    let Some(level) = Level::from_number(number) else {
        return Err(c.arg_error(1, format!("bad log level: {number}")));
    };
    write(c, level, 2)
}

/// `ngx.errlog.raw_log`: the message alone.
fn raw(c: &Call<'_>) -> Result<c_int, Raise> {
    let number = c.int(1)?;
    let Some(level) = Level::from_number(number) else {
        return Err(Raise::text("bad log level"));
    };
    ctx::log_bytes(level, c.bytes(2)?);
    Ok(0)
}

fn write(c: &Call<'_>, level: Level, first: c_int) -> Result<c_int, Raise> {
    if level > ctx::log_level() {
        return Ok(0);
    }
    let mut line = b"[lua] ".to_vec();
    line.extend_from_slice(trace::caller(c).as_bytes());
    for index in first..=c.len() {
        match c.kind(index) {
            Kind::Nil => line.extend_from_slice(b"nil"),
            Kind::Bool if c.truthy(index) => line.extend_from_slice(b"true"),
            Kind::Bool => line.extend_from_slice(b"false"),
            Kind::Light if c.is_null(index) => line.extend_from_slice(b"null"),
            Kind::Light => {}
            Kind::Str | Kind::Num => line.extend_from_slice(c.bytes(index)?),
            Kind::Table => {
                let text = "expected table to have __tostring metamethod";
                return Err(c.arg_error(index + 1 - first, text));
            }
            _ => {
                let what = c.type_name(index);
                let text = format!("string, number, boolean, or nil expected, got {what}");
                return Err(c.arg_error(index + 1 - first, text));
            }
        }
    }
    ctx::log_bytes(level, &line);
    Ok(0)
}
