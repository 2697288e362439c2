//! Rows of the rewrite module.

use bstr::{BStr, BString, ByteSlice};
use bytes::Bytes;

use crate::server::regex;
use crate::{
    conf::{
        Builder, Diag, Directive, Scope,
        row::{IF_LOCATION, IF_SERVER, LOCATION, Row, SERVER, args, at_least, block, row, take},
    },
    http::{
        build::{LocationDraft, LocationDrafts},
        location::LocationKind,
        template::Template,
        vars::{VarRef, VarTable},
    },
};

use super::{After, Code, Condition, Program, Rewrite};

/// `set`, `if`, `return`, `rewrite`, `break`.
pub const ROWS: &[Row] = &[
    row("rewrite", REWRITE_LEVELS, args(2, 3), set_rewrite),
    row("return", REWRITE_LEVELS, args(1, 2), set_return),
    row("break", REWRITE_LEVELS, take(0), |b, _| {
        push(b, Code::Break);
        Ok(())
    }),
    row("set", REWRITE_LEVELS, take(2), |b, d| {
        let target = define(b, d.arg(1))?;
        let value = Template::compile(b, d.arg(2))?;
        push(b, Code::Set { target, value });
        Ok(())
    }),
    block("if", SERVER, at_least(1), IF_SERVER, if_block),
    block("if", LOCATION, at_least(1), IF_LOCATION, if_block),
];

/// Where steps of the rewrite program may stand.
pub const REWRITE_LEVELS: u32 = SERVER | LOCATION | IF_SERVER | IF_LOCATION;

/// Appends a step to the program of the innermost block.
pub fn push(b: &mut Builder<'_>, code: Code) {
    b.part::<Program>().0.push(code);
}

/// Reads `$name` and defines that variable.
pub fn define(b: &mut Builder<'_>, word: &BStr) -> Result<VarRef, Diag> {
    match word.strip_prefix(b"$") {
        Some(name) if !name.is_empty() => b.main::<VarTable>().define(name),
        _ => Err(Diag::emerg(format!("invalid variable name \"{word}\""))),
    }
}

fn if_block(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let in_location = b.context() == LOCATION;
    let condition = Condition::parse(b, d)?;
    let mut scope = b.block(d, Scope::new());
    let then = std::mem::take(&mut scope.part_mut::<Program>().0);
    let enters = in_location.then(|| {
        let blocks = &mut b.part::<LocationDrafts>().conditional;
        let draft = LocationDraft { name: BString::default(), kind: LocationKind::Nameless, scope };
        blocks.push(draft);
        blocks.len() - 1
    });
    push(b, Code::If { condition, enters, then });
    Ok(())
}

fn set_return(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let invalid = || Diag::emerg(format!("invalid return code \"{}\"", d.arg(1)));
    let (status, text) = match crate::base::units::parse_number(d.arg(1)) {
        Some(status) if status > 999 => return Err(invalid()),
        Some(status) => (status as u16, (d.arg_count() == 2).then(|| d.arg(2))),
        None if d.arg_count() == 1 && is_absolute(d.arg(1)) => (302, Some(d.arg(1))),
        None => return Err(invalid()),
    };
    let text = text.map(|text| Template::compile(b, text)).transpose()?;
    push(b, Code::Return { status, text });
    Ok(())
}

fn set_rewrite(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let regex = regex::compile(d.arg(1), false)?;
    for (group, _) in regex.names() {
        b.main::<VarTable>().define(group)?;
    }
    let replacement = d.arg(2);
    if replacement.is_empty() {
        return Err(Diag::emerg("empty replacement"));
    }
    let absolute = is_absolute(replacement);
    let mut after = if absolute { After::Redirect(302) } else { After::GoOn };
    if d.arg_count() == 3 {
        after = match d.arg(3).as_bytes() {
            b"last" if absolute => after,
            b"last" => After::Last,
            b"break" if absolute => after,
            b"break" => After::Break,
            b"redirect" => After::Redirect(302),
            b"permanent" => After::Redirect(301),
            _ => return Err(d.bad_param(3)),
        };
    }
    let dropped = replacement.strip_suffix(b"?");
    let text = dropped.unwrap_or(replacement);
    let (path, query) = match text.split_once_str("?") {
        Some((path, query)) => (path, Some(query)),
        None => (text.as_bytes(), None),
    };
    let path = Template::compile(b, path)?;
    let args = query.map(|query| Template::compile(b, query)).transpose()?;
    push(
        b,
        Code::Rewrite(Box::new(Rewrite {
            regex,
            pattern: Bytes::copy_from_slice(d.arg(1)),
            path,
            args,
            keeps_args: dropped.is_none(),
            after,
        })),
    );
    Ok(())
}

fn is_absolute(text: &BStr) -> bool {
    [&b"http://"[..], b"https://", b"$scheme"].iter().any(|start| text.starts_with(start))
}
