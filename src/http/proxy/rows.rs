//! Rows that the families of directives share, by the part of passing a request on they are about.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    conf::{Builder, Diag, Directive},
    http::template::Template,
};

use super::{family::Settings, target};

/// How a peer is chosen, reached and given up.
macro_rules! peer_rows {
    ($prefix:literal, $family:ty) => {{
        use $crate::{
            conf::row::{HTTP_LEVELS, args, at_least, row, take},
            http::proxy::{family::Settings as _, rows, settings::next},
        };
        [
            row(concat!($prefix, "_bind"), HTTP_LEVELS, args(1, 2), rows::set_bind::<$family>),
            row(concat!($prefix, "_socket_keepalive"), HTTP_LEVELS, take(1), |b, d| {
                d.flag_slot(&mut b.part::<$family>().settings().socket_keepalive)
            }),
            row(concat!($prefix, "_connect_timeout"), HTTP_LEVELS, take(1), |b, d| {
                d.msec_slot(&mut b.part::<$family>().settings().connect_timeout_ms)
            }),
            row(concat!($prefix, "_send_timeout"), HTTP_LEVELS, take(1), |b, d| {
                d.msec_slot(&mut b.part::<$family>().settings().send_timeout_ms)
            }),
            row(concat!($prefix, "_read_timeout"), HTTP_LEVELS, take(1), |b, d| {
                d.msec_slot(&mut b.part::<$family>().settings().read_timeout_ms)
            }),
            row(concat!($prefix, "_buffer_size"), HTTP_LEVELS, take(1), |b, d| {
                d.size_slot(&mut b.part::<$family>().settings().buffer_size)
            }),
            row(concat!($prefix, "_next_upstream"), HTTP_LEVELS, at_least(1), |b, d| {
                let mask = b.mask(d, next::words($prefix))?;
                *b.part::<$family>().settings().next_upstream.get_or_insert(0) |= mask;
                Ok(())
            }),
            row(concat!($prefix, "_next_upstream_tries"), HTTP_LEVELS, take(1), |b, d| {
                d.number_slot(&mut b.part::<$family>().settings().next_upstream_tries)
            }),
            row(concat!($prefix, "_next_upstream_timeout"), HTTP_LEVELS, take(1), |b, d| {
                d.msec_slot(&mut b.part::<$family>().settings().next_upstream_timeout_ms)
            }),
        ]
    }};
}

/// What of an answer's head reaches the client.
macro_rules! answer_rows {
    ($prefix:literal, $family:ty) => {{
        use $crate::{
            conf::row::{HTTP_LEVELS, at_least, row, take},
            http::proxy::{family::Settings as _, rows, settings::ignore},
        };
        [
            row(concat!($prefix, "_intercept_errors"), HTTP_LEVELS, take(1), |b, d| {
                d.flag_slot(&mut b.part::<$family>().settings().intercept_errors)
            }),
            row(concat!($prefix, "_hide_header"), HTTP_LEVELS, take(1), |b, d| {
                rows::add_name(&mut b.part::<$family>().settings().hide_headers, d)
            }),
            row(concat!($prefix, "_pass_header"), HTTP_LEVELS, take(1), |b, d| {
                rows::add_name(&mut b.part::<$family>().settings().pass_headers, d)
            }),
            row(concat!($prefix, "_ignore_headers"), HTTP_LEVELS, at_least(1), |b, d| {
                let mask = b.mask(d, ignore::WORDS)?;
                *b.part::<$family>().settings().ignore_headers.get_or_insert(0) |= mask;
                Ok(())
            }),
        ]
    }};
}

/// How the bodies pass, in both directions.
macro_rules! body_rows {
    ($prefix:literal, $family:ty) => {{
        use $crate::{
            conf::row::{HTTP_LEVELS, args, row, take},
            http::{
                file_access,
                proxy::{family::Settings as _, store},
                template::Template,
            },
        };
        [
            row(concat!($prefix, "_buffering"), HTTP_LEVELS, take(1), |b, d| {
                d.flag_slot(&mut b.part::<$family>().settings().buffering)
            }),
            row(concat!($prefix, "_request_buffering"), HTTP_LEVELS, take(1), |b, d| {
                d.flag_slot(&mut b.part::<$family>().settings().request_buffering)
            }),
            row(concat!($prefix, "_ignore_client_abort"), HTTP_LEVELS, take(1), |b, d| {
                d.flag_slot(&mut b.part::<$family>().settings().ignore_client_abort)
            }),
            row(concat!($prefix, "_pass_request_headers"), HTTP_LEVELS, take(1), |b, d| {
                d.flag_slot(&mut b.part::<$family>().settings().pass_request_headers)
            }),
            row(concat!($prefix, "_pass_request_body"), HTTP_LEVELS, take(1), |b, d| {
                d.flag_slot(&mut b.part::<$family>().settings().pass_request_body)
            }),
            row(concat!($prefix, "_force_ranges"), HTTP_LEVELS, take(1), |b, d| {
                d.flag_slot(&mut b.part::<$family>().settings().force_ranges)
            }),
            row(concat!($prefix, "_buffers"), HTTP_LEVELS, take(2), |b, d| {
                d.buffers_slot(&mut b.part::<$family>().settings().buffers)
            }),
            row(concat!($prefix, "_limit_rate"), HTTP_LEVELS, take(1), |b, d| {
                let rate = Template::compile(b, d.arg(1))?;
                if rate.is_constant() {
                    d.size(1)?;
                }
                d.once(&mut b.part::<$family>().settings().limit_rate, |_| Ok(rate))
            }),
            row(concat!($prefix, "_store"), HTTP_LEVELS, take(1), store::set_store::<$family>),
            row(concat!($prefix, "_store_access"), HTTP_LEVELS, args(1, 3), |b, d| {
                file_access::set(&mut b.part::<$family>().settings().store_access, d)
            }),
            // Checked and without effect: buffers here are memory of the size that is needed.
            row(concat!($prefix, "_busy_buffers_size"), HTTP_LEVELS, take(1), |_, d| {
                d.size(1).map(drop)
            }),
            row(concat!($prefix, "_max_temp_file_size"), HTTP_LEVELS, take(1), |_, d| {
                d.size(1).map(drop)
            }),
            row(concat!($prefix, "_temp_file_write_size"), HTTP_LEVELS, take(1), |_, d| {
                d.size(1).map(drop)
            }),
            row(concat!($prefix, "_temp_path"), HTTP_LEVELS, args(1, 4), |_, _| Ok(())),
        ]
    }};
}

pub(super) use {answer_rows, body_rows, peer_rows};

pub fn set_bind<F: Settings>(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if d.arg_count() == 2 {
        if d.arg(2) != "transparent" {
            return Err(d.bad_param(2));
        }
        return Err(d.wrong_arg(2, "transparent proxying is not supported on this platform"));
    }
    let value = match d.arg(1) {
        off if off == "off" => None,
        text => Some(Template::compile(b, text)?),
    };
    if let Some(value) = value.as_ref().filter(|value| value.is_constant())
        && target::local(&value.text).is_none()
    {
        return Err(d.wrong_arg(1, format!("invalid address \"{}\"", d.arg(1))));
    }
    d.once(&mut b.part::<F>().settings().bind, |_| Ok(value))
}

pub fn add_name(slot: &mut Option<Arc<Vec<Bytes>>>, d: &Directive) -> Result<(), Diag> {
    push(slot, Bytes::copy_from_slice(d.arg(1)));
    Ok(())
}

/// Appends to a list of the block being read.
pub fn push<T>(slot: &mut Option<Arc<Vec<T>>>, item: T) {
    let list = slot.get_or_insert_with(|| Arc::new(Vec::new()));
    if let Some(list) = Arc::get_mut(list) {
        list.push(item);
    }
}
