//! Rows of `proxy_*`.

use std::sync::Arc;

use bytes::Bytes;

use crate::server::regex;
use crate::{
    conf::{
        Builder, Diag, Directive,
        row::{
            Contexts, HTTP_LEVELS, IF_LOCATION, LIMIT_EXCEPT, LOCATION, Row, args, flag, row, take,
        },
    },
    http::{build::Content, conf::OwnLocation, template::Template, vars::VarTable},
    net::addr::{Url, Want},
    upstream,
};

use super::{
    cache::conf::cache_rows,
    cookie::FlagRule,
    family::{Family, Settings},
    handler,
    rewrite::{Pattern, Rewrite},
    rows::{answer_rows, body_rows, peer_rows, push},
    settings::{Fixed, Pass, Proxy, Version},
    target,
};

pub const ROWS: &[Row] = &[
    row("proxy_pass", PROXY_LEVELS, take(1), set_proxy_pass),
    row("proxy_redirect", HTTP_LEVELS, args(1, 2), set_redirect),
    row("proxy_cookie_domain", HTTP_LEVELS, args(1, 2), set_cookie_domain),
    row("proxy_cookie_path", HTTP_LEVELS, args(1, 2), set_cookie_path),
    row("proxy_cookie_flags", HTTP_LEVELS, args(1, 4), set_cookie_flags),
    row("proxy_set_header", HTTP_LEVELS, take(2), set_header::<Proxy>),
    row("proxy_set_body", HTTP_LEVELS, take(1), |b, d| {
        let body = Template::compile(b, d.arg(1))?;
        d.once(&mut b.part::<Proxy>().body, |_| Ok(body))
    }),
    row("proxy_method", HTTP_LEVELS, take(1), |b, d| {
        let method = Template::compile(b, d.arg(1))?;
        d.once(&mut b.part::<Proxy>().method, |_| Ok(method))
    }),
    row("proxy_http_version", HTTP_LEVELS, take(1), |b, d| {
        let choices = [("1.0", Version::Http10), ("1.1", Version::Http11), ("2", Version::Http2)];
        d.choice_slot(&mut b.part::<Proxy>().version, &choices)
    }),
    flag("proxy_pass_trailers", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<Proxy>().pass_trailers)
    }),
    // Checked and without effect, as where the system has no such thing.
    row("proxy_send_lowat", HTTP_LEVELS, take(1), |_, d| d.size(1).map(drop)),
    row("proxy_headers_hash_max_size", HTTP_LEVELS, take(1), |_, d| d.number(1).map(drop)),
    row("proxy_headers_hash_bucket_size", HTTP_LEVELS, take(1), |_, d| d.number(1).map(drop)),
    flag("proxy_cache_convert_head", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<Proxy>().cache.convert_head)
    }),
];

pub const PEER_ROWS: &[Row] = &peer_rows!("proxy", Proxy);
pub const ANSWER_ROWS: &[Row] = &answer_rows!("proxy", Proxy);
pub const BODY_ROWS: &[Row] = &body_rows!("proxy", Proxy);
/// `proxy_cache` and its kin.
pub const CACHE_ROWS: &[Row] = &cache_rows!("proxy", Proxy);

fn set_proxy_pass(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if b.part::<Proxy>().pass.is_some() {
        return Err(d.wrong("is duplicate"));
    }
    b.part::<Content>().0 = Some(handler(Family::Http));
    let text = d.arg(1);
    if text.contains(&b'$') {
        let url = Template::compile(b, text)?;
        b.part::<Proxy>().pass = Some(Pass::Variable(url));
        return Ok(());
    }
    let Some((tls, default_port, rest)) = Family::Http.split(text) else {
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
        origin: target::origin(&url, tls).into(),
        uri: Bytes::copy_from_slice(&url.uri),
        replaced: location.len(),
        url: Bytes::copy_from_slice(text),
        location,
    };
    b.part::<Proxy>().pass = Some(Pass::Fixed(Arc::new(fixed)));
    Ok(())
}

/// A `*_pass` of the other families: an address or a group, nothing behind it.
pub fn set_pass<F: Settings>(
    b: &mut Builder<'_>,
    d: &Directive,
    family: Family,
) -> Result<(), Diag> {
    if b.part::<F>().settings().pass.is_some() {
        return Err(d.wrong("is duplicate"));
    }
    b.part::<Content>().0 = Some(handler(family));
    let text = d.arg(1);
    if text.contains(&b'$') {
        let url = Template::compile(b, text)?;
        b.part::<F>().settings().pass = Some(Pass::Variable(url));
        return Ok(());
    }
    let Some((tls, _, rest)) = family.split(text) else {
        return Err(d.wrong_arg(1, "invalid URL prefix"));
    };
    let want = Want { no_resolve: true, ..Want::default() };
    let url = Url::parse(rest, &want)
        .map_err(|e| d.wrong_arg(1, format!("{e} in upstream \"{}\"", bstr::BStr::new(rest))))?;
    let fixed = Fixed {
        group: upstream::conf::mention(b, d, &url)?,
        origin: target::authority(&url, tls).into(),
        uri: Bytes::new(),
        replaced: 0,
        url: Bytes::copy_from_slice(text),
        location: Bytes::new(),
    };
    b.part::<F>().settings().pass = Some(Pass::Fixed(Arc::new(fixed)));
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
    let regex = regex::compile(pattern, caseless)?;
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

const PROXY_LEVELS: Contexts = LOCATION | IF_LOCATION | LIMIT_EXCEPT;
/// Where other passes may stand.
pub const PASS_LEVELS: Contexts = LOCATION | IF_LOCATION;
