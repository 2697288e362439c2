//! Rows of nginx core that open blocks or set what every location reads.

use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};
use bytes::Bytes;

use crate::conf::{
    Builder, Diag, Directive, Scope,
    row::{
        HTTP, HTTP_LEVELS, IF_LOCATION, LIMIT_EXCEPT, LOCATION, MAIN, Row, SERVER, args, at_least,
        block, flag, raw_block, row, take,
    },
};
use crate::server::{listen::Listens, regex};

use super::{
    build::{self, Features, LocationDraft, LocationDrafts, ServerDraft, ServerDrafts},
    core::{Alias, CoreLoc, IfModifiedSince, InFile, Root, ServerTokens},
    location::{ErrorPage, LocationKind},
    method,
    mime::Types,
    server_conf::default_listen,
    template::Template,
    vars::VarTable,
};

/// `http`, `server`, `location` and friends.
pub const ROWS: &[Row] = &[
    block("http", MAIN, take(0), HTTP, http_block),
    block("server", HTTP, take(0), SERVER, server_block),
    block("location", SERVER | LOCATION, args(1, 2), LOCATION, location_block),
    block("limit_except", LOCATION, at_least(1), LIMIT_EXCEPT, limit_except_block),
    raw_block("types", HTTP_LEVELS, take(0), set_types),
    row("default_type", HTTP_LEVELS, take(1), |b, d| {
        d.str_slot(&mut b.part::<CoreLoc>().default_type)
    }),
    row("root", HTTP_LEVELS | IF_LOCATION, take(1), set_root),
    row("alias", LOCATION, take(1), set_root),
    row("internal", LOCATION, take(0), |b, _| {
        b.part::<CoreLoc>().internal = true;
        Ok(())
    }),
    row("error_page", HTTP_LEVELS | IF_LOCATION, at_least(2), set_error_page),
    row("auth_delay", HTTP_LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<CoreLoc>().auth_delay_ms)
    }),
    row("satisfy", HTTP_LEVELS, take(1), |b, d| {
        d.choice_slot(&mut b.part::<CoreLoc>().satisfy_any, &[("all", false), ("any", true)])
    }),
    row("server_tokens", HTTP_LEVELS, take(1), |b, d| {
        let choices =
            [("off", ServerTokens::Off), ("on", ServerTokens::On), ("build", ServerTokens::Build)];
        d.choice_slot(&mut b.part::<CoreLoc>().server_tokens, &choices)
    }),
    row("client_max_body_size", HTTP_LEVELS, take(1), |b, d| {
        d.offset_slot(&mut b.part::<CoreLoc>().client_max_body_size)
    }),
    row("client_body_buffer_size", HTTP_LEVELS, take(1), |b, d| {
        d.size_slot(&mut b.part::<CoreLoc>().client_body_buffer_size)
    }),
    row("client_body_timeout", HTTP_LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<CoreLoc>().client_body_timeout_ms)
    }),
    row("client_body_in_file_only", HTTP_LEVELS, take(1), |b, d| {
        let choices = [("off", InFile::Off), ("on", InFile::On), ("clean", InFile::Clean)];
        d.choice_slot(&mut b.part::<CoreLoc>().client_body_in_file_only, &choices)
    }),
    flag("client_body_in_single_buffer", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<CoreLoc>().client_body_in_single_buffer)
    }),
    row("client_body_temp_path", HTTP_LEVELS, args(1, 4), |b, d| {
        let path = b.prefix_path(d.arg(1));
        let slot = &mut b.part::<CoreLoc>().client_body_temp_path;
        d.once(slot, |_| Ok(path))
    }),
    row("send_timeout", HTTP_LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<CoreLoc>().send_timeout_ms)
    }),
    row("keepalive_timeout", HTTP_LEVELS, args(1, 2), set_keepalive_timeout),
    row("keepalive_time", HTTP_LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<CoreLoc>().keepalive_time_ms)
    }),
    row("keepalive_requests", HTTP_LEVELS, take(1), |b, d| {
        d.number_slot(&mut b.part::<CoreLoc>().keepalive_requests)
    }),
    row("lingering_close", HTTP_LEVELS, take(1), |b, d| {
        let choices = [("off", 0), ("on", 1), ("always", 2)];
        d.choice_slot(&mut b.part::<CoreLoc>().lingering_close, &choices)
    }),
    row("lingering_time", HTTP_LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<CoreLoc>().lingering_time_ms)
    }),
    row("lingering_timeout", HTTP_LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<CoreLoc>().lingering_timeout_ms)
    }),
    row("postpone_output", HTTP_LEVELS, take(1), |b, d| {
        d.size_slot(&mut b.part::<CoreLoc>().postpone_output)
    }),
    flag("chunked_transfer_encoding", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<CoreLoc>().chunked_transfer_encoding)
    }),
    flag("absolute_redirect", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<CoreLoc>().absolute_redirect)
    }),
    flag("server_name_in_redirect", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<CoreLoc>().server_name_in_redirect)
    }),
    flag("port_in_redirect", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<CoreLoc>().port_in_redirect)
    }),
    flag("msie_refresh", HTTP_LEVELS, |b, d| d.flag_slot(&mut b.part::<CoreLoc>().msie_refresh)),
    row("post_action", HTTP_LEVELS | IF_LOCATION, take(1), |b, d| {
        d.once(&mut b.part::<CoreLoc>().post_action, |d| Ok(Bytes::copy_from_slice(d.arg(1))))
    }),
    flag("msie_padding", HTTP_LEVELS, |b, d| d.flag_slot(&mut b.part::<CoreLoc>().msie_padding)),
    flag("log_not_found", HTTP_LEVELS, |b, d| d.flag_slot(&mut b.part::<CoreLoc>().log_not_found)),
    flag("log_subrequest", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<CoreLoc>().log_subrequest)
    }),
    flag("recursive_error_pages", HTTP_LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<CoreLoc>().recursive_error_pages)
    }),
    flag("etag", HTTP_LEVELS, |b, d| d.flag_slot(&mut b.part::<CoreLoc>().etag)),
    row("if_modified_since", HTTP_LEVELS, take(1), |b, d| {
        let choices = [
            ("off", IfModifiedSince::Off),
            ("exact", IfModifiedSince::Exact),
            ("before", IfModifiedSince::Before),
        ];
        d.choice_slot(&mut b.part::<CoreLoc>().if_modified_since, &choices)
    }),
    row("max_ranges", HTTP_LEVELS, take(1), |b, d| {
        d.number_slot(&mut b.part::<CoreLoc>().max_ranges)
    }),
    flag("tcp_nodelay", HTTP_LEVELS, |b, d| d.flag_slot(&mut b.part::<CoreLoc>().tcp_nodelay)),
    flag("uninitialized_variable_warn", HTTP_LEVELS | IF_LOCATION, |b, d| {
        d.flag_slot(&mut b.part::<CoreLoc>().uninitialized_variable_warn)
    }),
    flag("rewrite_log", HTTP_LEVELS | IF_LOCATION, |b, d| {
        d.flag_slot(&mut b.part::<CoreLoc>().rewrite_log)
    }),
];

fn http_block(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if b.main::<build::HttpRoot>().0.is_some() || b.main::<HttpSeen>().0 {
        return Err(Diag::emerg("\"http\" directive is duplicate"));
    }
    b.main::<HttpSeen>().0 = true;
    for rows in b.main::<Features>().vars {
        b.main::<VarTable>().register(rows);
    }
    let mut scope = b.block(d, Scope::new());
    let finishers = b.main::<Features>().finishers;
    for finish in finishers {
        if let Err(diag) = finish(b, &mut scope) {
            b.report(diag);
        }
    }
    for name in b.main::<VarTable>().resolve() {
        b.report(Diag::emerg(format!("unknown \"{name}\" variable")).nowhere());
    }
    build::build(b, scope)
}

fn server_block(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut scope = b.block(d, Scope::new());
    let listens = &mut scope.part_mut::<Listens>().0;
    if listens.is_empty() {
        listens.push(default_listen());
    }
    b.part::<ServerDrafts>().0.push(ServerDraft { scope, place: d.at.place });
    Ok(())
}

fn location_block(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let (kind, name) = match d.arg_count() {
        2 => match d.arg(1).as_bytes() {
            b"=" => (LocationKind::Exact, d.arg(2)),
            b"^~" => (LocationKind::PrefixNoRegex, d.arg(2)),
            b"~" => (LocationKind::Regex(regex::compile(d.arg(2), false)?), d.arg(2)),
            b"~*" => (LocationKind::Regex(regex::compile(d.arg(2), true)?), d.arg(2)),
            other => {
                let other = BStr::new(other);
                return Err(Diag::emerg(format!("invalid location modifier \"{other}\"")));
            }
        },
        _ => joined_modifier(d.arg(1))?,
    };
    if let LocationKind::Regex(regex) = &kind {
        for (group, _) in regex.names() {
            b.main::<VarTable>().define(group)?;
        }
    }
    check_nesting(b, &kind, name)?;
    let mut scope = Scope::new();
    scope.part_mut::<OwnLocation>().set(&kind, name);
    let scope = b.block(d, scope);
    let locations = &mut b.part::<LocationDrafts>().locations;
    let same = |known: &LocationDraft| known.name == name && same_kind(&known.kind, &kind);
    if !matches!(kind, LocationKind::Regex(_)) && locations.iter().any(same) {
        return Err(Diag::emerg(format!("duplicate location \"{name}\"")).at(d.at.place));
    }
    locations.push(LocationDraft { name: name.into(), kind, scope });
    Ok(())
}

/// `location =/x`, `location ~^/x`: the modifier may touch the name.
fn joined_modifier(word: &BStr) -> Result<(LocationKind, &BStr), Diag> {
    Ok(match word.as_bytes() {
        [b'=', rest @ ..] => (LocationKind::Exact, rest.as_bstr()),
        [b'^', b'~', rest @ ..] => (LocationKind::PrefixNoRegex, rest.as_bstr()),
        [b'~', b'*', rest @ ..] => {
            (LocationKind::Regex(regex::compile(rest, true)?), rest.as_bstr())
        }
        [b'~', rest @ ..] => (LocationKind::Regex(regex::compile(rest, false)?), rest.as_bstr()),
        [b'@', ..] => (LocationKind::Named, word),
        _ => (LocationKind::Prefix, word),
    })
}

fn same_kind(a: &LocationKind, b: &LocationKind) -> bool {
    use LocationKind::{Prefix, PrefixNoRegex};
    std::mem::discriminant(a) == std::mem::discriminant(b)
        || matches!((a, b), (Prefix, PrefixNoRegex) | (PrefixNoRegex, Prefix))
}

fn check_nesting(b: &mut Builder<'_>, kind: &LocationKind, name: &BStr) -> Result<(), Diag> {
    if !b.inside(LOCATION) {
        return Ok(());
    }
    let outer = b.part::<OwnLocation>();
    let outer_name = outer.name.clone();
    let complaint = if outer.exact {
        format!("location \"{name}\" cannot be inside the exact location \"{outer_name}\"")
    } else if outer.named {
        format!("location \"{name}\" cannot be inside the named location \"{outer_name}\"")
    } else if matches!(kind, LocationKind::Named) {
        format!("named location \"{name}\" can be on the server level only")
    } else if !matches!(kind, LocationKind::Regex(_))
        && !outer.regex
        && !name.starts_with(outer_name.as_bytes())
    {
        format!("location \"{name}\" is outside location \"{outer_name}\"")
    } else {
        return Ok(());
    };
    Err(Diag::emerg(complaint))
}

fn limit_except_block(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut methods = 0;
    for (index, word) in (1..).zip(d.args()) {
        let name = Bytes::copy_from_slice(&word.text.to_ascii_uppercase());
        let parsed = method::Method::parse(name);
        if parsed.bit == method::Method::UNKNOWN {
            return Err(Diag::emerg(format!("invalid method \"{}\"", d.arg(index))));
        }
        methods |= parsed.bit;
    }
    if methods & method::Method::GET != 0 {
        methods |= method::Method::HEAD;
    }
    let scope = b.block(d, Scope::new());
    let draft = LocationDraft { name: BString::default(), kind: LocationKind::Nameless, scope };
    b.part::<LocationDrafts>().limit_except = Some((methods, draft));
    Ok(())
}

fn set_types(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut types = Types::default();
    b.entries(d, |_, entry| {
        if entry.arg_count() == 0 {
            return Err(Diag::emerg(format!(
                "invalid number of arguments in \"{}\"",
                entry.name()
            )));
        }
        for word in entry.args() {
            types.add(&word.text, entry.name());
        }
        Ok(())
    });
    let slot = &mut b.part::<CoreLoc>().types;
    match slot.as_mut().and_then(Arc::get_mut) {
        Some(known) => known.extend(types),
        None => *slot = Some(Arc::new(types)),
    }
    Ok(())
}

fn set_root(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let alias = d.name() == "alias";
    if let Some(known) = &b.part::<CoreLoc>().root {
        let known = if known.alias.is_some() { "alias" } else { "root" };
        if d.name() == known {
            return Err(Diag::emerg(format!("\"{known}\" directive is duplicate")));
        }
        let text = format!(
            "\"{}\" directive is duplicate, \"{known}\" directive was specified earlier",
            d.name()
        );
        return Err(Diag::emerg(text));
    }
    if alias && b.part::<OwnLocation>().named {
        return Err(Diag::emerg(
            "the \"alias\" directive cannot be used inside the named location",
        ));
    }
    let mut text: BString = d.arg(1).to_owned();
    for name in [&b"$document_root"[..], b"${document_root}", b"$realpath_root"] {
        if text.find(name).is_some() {
            let name = BStr::new(name);
            return Err(Diag::emerg(format!(
                "the {name} variable cannot be used in the \"{}\" directive",
                d.name()
            )));
        }
    }
    if !alias && text.ends_with(b"/") {
        text.pop();
    }
    if text.first() != Some(&b'$') {
        use std::os::unix::ffi::OsStrExt;
        let path = b.prefix_path(text.as_bstr());
        text = path.as_os_str().as_bytes().into();
    }
    let path = Template::compile(b, &text)?;
    let own = b.part::<OwnLocation>();
    let alias = alias.then(|| match own.regex {
        true => Alias::Whole,
        false => Alias::Start(own.name.len()),
    });
    b.part::<CoreLoc>().root = Some(Root { path, alias });
    Ok(())
}

fn set_error_page(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let last = d.arg_count();
    let mut codes = last - 1;
    let mut overwrite = None;
    if let Some(text) = d.arg(codes).strip_prefix(b"=") {
        overwrite = Some(if text.is_empty() {
            0
        } else {
            let code = crate::base::units::parse_number(text);
            code.filter(|code| *code < 1000).ok_or_else(|| d.bad_value(codes))? as u16
        });
        codes -= 1;
    }
    if codes == 0 {
        return Err(d.bad_arity());
    }
    let uri = Template::compile(b, d.arg(last))?;
    for index in 1..=codes {
        let code = crate::base::units::parse_number(d.arg(index));
        let code = code.ok_or_else(|| d.bad_value(index))? as u16;
        if code == 499 {
            return Err(Diag::emerg("value \"499\" must be between 300 and 599"));
        }
        if !(300..=599).contains(&code) {
            return Err(Diag::emerg(format!("value \"{code}\" must be between 300 and 599")));
        }
        let page = ErrorPage { code, overwrite, uri: uri.clone() };
        b.part::<CoreLoc>().error_pages.get_or_insert_default().push(page);
    }
    Ok(())
}

fn set_keepalive_timeout(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    d.msec_slot(&mut b.part::<CoreLoc>().keepalive_timeout_ms)?;
    if d.arg_count() == 2 {
        b.part::<CoreLoc>().keepalive_header_s = Some(d.sec(2)?);
    }
    Ok(())
}

/// What a location block knows of itself while its directives are read.
#[derive(Default)]
pub struct OwnLocation {
    pub name: BString,
    pub exact: bool,
    pub named: bool,
    pub regex: bool,
}

impl OwnLocation {
    fn set(&mut self, kind: &LocationKind, name: &BStr) {
        self.name = name.into();
        self.exact = matches!(kind, LocationKind::Exact);
        self.named = matches!(kind, LocationKind::Named);
        self.regex = matches!(kind, LocationKind::Regex(_));
    }
}

impl crate::conf::Part for OwnLocation {
    fn inherit(&mut self, parent: &Self) {
        if self.name.is_empty() {
            self.name.clone_from(&parent.name);
            (self.exact, self.named, self.regex) = (parent.exact, parent.named, parent.regex);
        }
    }
}

/// Whether an `http` block has been met.
#[derive(Default)]
struct HttpSeen(bool);

impl crate::conf::Part for HttpSeen {
    fn inherit(&mut self, _parent: &Self) {}
}
