//! Rows of `proxy_*`.

use std::sync::Arc;

use bstr::ByteSlice;
use bytes::Bytes;

use crate::{
    conf::{
        Builder, Diag, Directive,
        row::{
            Contexts, HTTP, HTTP_LEVELS, IF_LOCATION, LIMIT_EXCEPT, LOCATION, Row, args, at_least,
            flag, row, take,
        },
    },
    http::{
        build::Content, conf::OwnLocation, server_conf::compile_regex, template::Template,
        vars::VarTable,
    },
    net::addr::{Url, Want},
    upstream,
};

use super::{
    HANDLER,
    cache::conf::cache_rows,
    cookie::FlagRule,
    rewrite::{Pattern, Rewrite},
    settings::{Fixed, Pass, Proxy, Settings, Version, ignore, next},
    target,
};

/// A row whose argument goes into a slot of [`Proxy`].
macro_rules! slot {
    ($name:literal, $arity:expr, $reader:ident, $field:ident) => {
        row($name, HTTP_LEVELS, $arity, |b, d| d.$reader(&mut b.part::<Proxy>().$field))
    };
}

pub const ROWS: &[Row] = &[
    row("proxy_pass", PASS_LEVELS, take(1), set_pass),
    row("proxy_redirect", HTTP_LEVELS, args(1, 2), set_redirect),
    row("proxy_cookie_domain", HTTP_LEVELS, args(1, 2), set_cookie_domain),
    row("proxy_cookie_path", HTTP_LEVELS, args(1, 2), set_cookie_path),
    row("proxy_cookie_flags", HTTP_LEVELS, args(1, 4), set_cookie_flags),
    row("proxy_set_header", HTTP_LEVELS, take(2), set_header::<Proxy>),
    row("proxy_hide_header", HTTP_LEVELS, take(1), |b, d| {
        add_name(&mut b.part::<Proxy>().hide_headers, d)
    }),
    row("proxy_pass_header", HTTP_LEVELS, take(1), |b, d| {
        add_name(&mut b.part::<Proxy>().pass_headers, d)
    }),
    row("proxy_ignore_headers", HTTP_LEVELS, at_least(1), |b, d| {
        let mask = b.mask(d, ignore::WORDS)?;
        *b.part::<Proxy>().ignore_headers.get_or_insert(0) |= mask;
        Ok(())
    }),
    row("proxy_set_body", HTTP_LEVELS, take(1), |b, d| {
        let body = Template::compile(b, d.arg(1))?;
        d.once(&mut b.part::<Proxy>().body, |_| Ok(body))
    }),
    row("proxy_method", HTTP_LEVELS, take(1), |b, d| {
        let method = Template::compile(b, d.arg(1))?;
        d.once(&mut b.part::<Proxy>().method, |_| Ok(method))
    }),
    row("proxy_limit_rate", HTTP_LEVELS, take(1), |b, d| {
        let rate = Template::compile(b, d.arg(1))?;
        if rate.is_constant() {
            d.size(1)?;
        }
        d.once(&mut b.part::<Proxy>().limit_rate, |_| Ok(rate))
    }),
    row("proxy_bind", HTTP_LEVELS, args(1, 2), set_bind::<Proxy>),
    row("proxy_http_version", HTTP_LEVELS, take(1), |b, d| {
        let choices = [("1.0", Version::Http10), ("1.1", Version::Http11), ("2", Version::Http2)];
        d.choice_slot(&mut b.part::<Proxy>().version, &choices)
    }),
    slot!("proxy_buffering", take(1), flag_slot, buffering),
    slot!("proxy_request_buffering", take(1), flag_slot, request_buffering),
    slot!("proxy_ignore_client_abort", take(1), flag_slot, ignore_client_abort),
    slot!("proxy_intercept_errors", take(1), flag_slot, intercept_errors),
    slot!("proxy_pass_request_headers", take(1), flag_slot, pass_request_headers),
    slot!("proxy_pass_request_body", take(1), flag_slot, pass_request_body),
    slot!("proxy_pass_trailers", take(1), flag_slot, pass_trailers),
    slot!("proxy_socket_keepalive", take(1), flag_slot, socket_keepalive),
    slot!("proxy_connect_timeout", take(1), msec_slot, connect_timeout_ms),
    slot!("proxy_send_timeout", take(1), msec_slot, send_timeout_ms),
    slot!("proxy_read_timeout", take(1), msec_slot, read_timeout_ms),
    slot!("proxy_buffer_size", take(1), size_slot, buffer_size),
    slot!("proxy_buffers", take(2), buffers_slot, buffers),
    row("proxy_next_upstream", HTTP_LEVELS, at_least(1), |b, d| {
        let mask = b.mask(d, next::WORDS)?;
        *b.part::<Proxy>().next_upstream.get_or_insert(0) |= mask;
        Ok(())
    }),
    slot!("proxy_next_upstream_tries", take(1), number_slot, next_upstream_tries),
    slot!("proxy_next_upstream_timeout", take(1), msec_slot, next_upstream_timeout_ms),
    // Checked and without effect: buffers here are memory of the size that is needed.
    row("proxy_busy_buffers_size", HTTP_LEVELS, take(1), |_, d| d.size(1).map(drop)),
    row("proxy_max_temp_file_size", HTTP_LEVELS, take(1), |_, d| d.size(1).map(drop)),
    row("proxy_temp_file_write_size", HTTP_LEVELS, take(1), |_, d| d.size(1).map(drop)),
    row("proxy_temp_path", HTTP_LEVELS, args(1, 4), |_, _| Ok(())),
    row("proxy_send_lowat", HTTP_LEVELS, take(1), |_, d| d.size(1).map(drop)),
    row("proxy_headers_hash_max_size", HTTP_LEVELS, take(1), |_, d| d.number(1).map(drop)),
    row("proxy_headers_hash_bucket_size", HTTP_LEVELS, take(1), |_, d| d.number(1).map(drop)),
    flag("proxy_force_ranges", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<Proxy>().force_ranges)
    }),
    flag("proxy_cache_convert_head", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<Proxy>().cache.convert_head)
    }),
    row("proxy_store", HTTP_LEVELS, take(1), |_, d| off_only(d)),
];

/// `proxy_cache` and its kin.
pub const CACHE_ROWS: &[Row] = &cache_rows!("proxy", Proxy);

fn set_pass(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if b.part::<Proxy>().pass.is_some() {
        return Err(d.wrong("is duplicate"));
    }
    b.part::<Content>().0 = Some(&HANDLER);
    let text = d.arg(1);
    if text.contains(&b'$') {
        let url = Template::compile(b, text)?;
        b.part::<Proxy>().pass = Some(Pass::Variable(url));
        return Ok(());
    }
    let Some((tls, default_port, rest)) = target::scheme(text) else {
        return Err(d.wrong_arg(1, "invalid URL prefix"));
    };
    let want = Want { uri_part: true, no_resolve: true, default_port, ..Want::default() };
    let url = Url::parse(rest, &want)
        .map_err(|e| d.wrong_arg(1, format!("{e} in upstream \"{}\"", bstr::BStr::new(rest))))?;
    let group = upstream::conf::mention(b, d, &url)?;
    let nameless = b.context() & (IF_LOCATION | LIMIT_EXCEPT) != 0;
    let own = b.part::<OwnLocation>();
    let fluid = nameless || own.named || own.regex;
    let location = if fluid { Bytes::new() } else { Bytes::copy_from_slice(&own.name) };
    if fluid && !url.uri.is_empty() {
        return Err(Diag::emerg(
            "\"proxy_pass\" cannot have URI part in location given by regular expression, \
             or inside named location, or inside \"if\" statement, \
             or inside \"limit_except\" block",
        ));
    }
    let fixed = Fixed {
        group,
        origin: target::origin(&url, tls),
        uri: Bytes::copy_from_slice(&url.uri),
        replaced: location.len(),
        url: Bytes::copy_from_slice(text),
        location,
    };
    b.part::<Proxy>().pass = Some(Pass::Fixed(Arc::new(fixed)));
    Ok(())
}

fn set_redirect(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if b.part::<Proxy>().redirect == Some(false) {
        return Err(d.wrong("is duplicate"));
    }
    if d.arg_count() == 1 && d.arg(1) == "off" {
        let conf = b.part::<Proxy>();
        if conf.redirects.is_some() {
            return Err(d.wrong("is duplicate"));
        }
        conf.redirect = Some(false);
        return Ok(());
    }
    let rule = if d.arg_count() == 1 {
        if d.arg(1) != "default" {
            return Err(d.bad_param(1));
        }
        match &b.part::<Proxy>().pass {
            Some(Pass::Fixed(fixed)) => Rewrite::default_of(fixed),
            Some(Pass::Variable(_)) => {
                return Err(Diag::emerg(
                    "\"proxy_redirect default\" cannot be used with \
                     \"proxy_pass\" directive with variables",
                ));
            }
            None => {
                return Err(Diag::emerg(
                    "\"proxy_redirect default\" should be placed after the \
                     \"proxy_pass\" directive",
                ));
            }
        }
    } else {
        rule(b, d, |b, text| Ok(Pattern::Prefix(Template::compile(b, text)?)))?
    };
    let conf = b.part::<Proxy>();
    conf.redirect = Some(true);
    push(&mut conf.redirects, rule);
    Ok(())
}

fn set_cookie_domain(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if let Some(done) = cookie_off(&mut b.part::<Proxy>().cookie_domains, d) {
        return done;
    }
    let rule = if let Some(pattern) = d.arg(1).strip_prefix(b"~") {
        regex_rule(b, pattern, true, d.arg(2))?
    } else {
        let pattern = d.arg(1).strip_prefix(b".").unwrap_or(d.arg(1));
        let replacement = d.arg(2).strip_prefix(b".").unwrap_or(d.arg(2));
        Rewrite {
            pattern: Pattern::Domain(Template::compile(b, pattern)?),
            replacement: Template::compile(b, replacement)?,
        }
    };
    push(&mut b.part::<Proxy>().cookie_domains, rule);
    Ok(())
}

fn set_cookie_path(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if let Some(done) = cookie_off(&mut b.part::<Proxy>().cookie_paths, d) {
        return done;
    }
    let rule = rule(b, d, |b, text| Ok(Pattern::Prefix(Template::compile(b, text)?)))?;
    push(&mut b.part::<Proxy>().cookie_paths, rule);
    Ok(())
}

fn set_cookie_flags(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if let Some(done) = cookie_off(&mut b.part::<Proxy>().cookie_flags, d) {
        return done;
    }
    let rule = FlagRule::parse(b, d)?;
    push(&mut b.part::<Proxy>().cookie_flags, rule);
    Ok(())
}

/// `off`, the only word that may stand alone.
fn cookie_off<T>(slot: &mut Option<Arc<Vec<T>>>, d: &Directive) -> Option<Result<(), Diag>> {
    if d.arg_count() > 1 {
        return None;
    }
    if d.arg(1) != "off" {
        return Some(Err(d.bad_param(1)));
    }
    if slot.is_some() {
        return Some(Err(d.wrong("is duplicate")));
    }
    *slot = Some(Arc::default());
    Some(Ok(()))
}

/// `pattern replacement`, where `~` and `~*` begin a regular expression.
fn rule(
    b: &mut Builder<'_>,
    d: &Directive,
    plain: fn(&mut Builder<'_>, &[u8]) -> Result<Pattern, Diag>,
) -> Result<Rewrite, Diag> {
    match d.arg(1).strip_prefix(b"~") {
        Some(pattern) => match pattern.strip_prefix(b"*") {
            Some(pattern) => regex_rule(b, pattern, true, d.arg(2)),
            None => regex_rule(b, pattern, false, d.arg(2)),
        },
        None => {
            let pattern = plain(b, d.arg(1))?;
            Ok(Rewrite { pattern, replacement: Template::compile(b, d.arg(2))? })
        }
    }
}

fn regex_rule(
    b: &mut Builder<'_>,
    pattern: &[u8],
    caseless: bool,
    replacement: &[u8],
) -> Result<Rewrite, Diag> {
    let regex = compile_regex(pattern, caseless)?;
    for (group, _) in regex.names() {
        b.main::<VarTable>().define(group)?;
    }
    let replacement = Template::compile(b, replacement)?;
    Ok(Rewrite { pattern: Pattern::Regex(regex), replacement })
}

pub fn set_header<F: Settings>(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let value = Template::compile(b, d.arg(2))?;
    let line = (Bytes::copy_from_slice(d.arg(1)), value);
    push(&mut b.part::<F>().settings().set_headers, line);
    Ok(())
}

pub fn add_name(slot: &mut Option<Arc<Vec<Bytes>>>, d: &Directive) -> Result<(), Diag> {
    push(slot, Bytes::copy_from_slice(d.arg(1)));
    Ok(())
}

/// Appends to a list of the block being read.
fn push<T>(slot: &mut Option<Arc<Vec<T>>>, item: T) {
    let list = slot.get_or_insert_with(|| Arc::new(Vec::new()));
    if let Some(list) = Arc::get_mut(list) {
        list.push(item);
    }
}

pub fn set_bind<F: Settings>(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if d.arg_count() == 2 {
        if d.arg(2) != "transparent" {
            return Err(d.bad_param(2));
        }
        return Err(d.wrong_arg(2, "transparent proxying is not supported on this platform"));
    }
    let value = match d.arg(1).as_bytes() {
        b"off" => None,
        text => Some(Template::compile(b, text)?),
    };
    if let Some(value) = value.as_ref().filter(|value| value.is_constant())
        && target::local(&value.text).is_none()
    {
        return Err(d.wrong_arg(1, format!("invalid address \"{}\"", d.arg(1))));
    }
    d.once(&mut b.part::<F>().settings().bind, |_| Ok(value))
}

/// Switches of what is not built in may only say so.
fn off_only(d: &Directive) -> Result<(), Diag> {
    match d.arg(1).as_bytes() {
        b"off" => Ok(()),
        _ => Err(d.wrong("is not supported, it can only be \"off\"")),
    }
}

const PASS_LEVELS: Contexts = LOCATION | IF_LOCATION | LIMIT_EXCEPT;
