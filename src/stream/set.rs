//! `set $variable value` of sessions.

use std::rc::Rc;

use futures_util::future::{LocalBoxFuture, ready};

use crate::conf::row::{Row, STREAM_SERVER, row, take};
use crate::conf::{Builder, Diag, Directive, Part, Scope};
use crate::server::map::variable_name;
use crate::server::template::Template;
use crate::server::vars::{self, VarRef};

use super::build::VarTable;
use super::content::Downstream;
use super::phase::{Handler, Phase, Registered};
use super::session::Session;

pub const ROWS: &[Row] = &[row("set", STREAM_SERVER, take(2), set)];

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Preread, handler: &Assign }];

/// The assignments of a server, in order.
#[derive(Default)]
struct Assignments(Vec<(VarRef, Template<Session>)>);

impl Part for Assignments {
    fn inherit(&mut self, _parent: &Self) {}
}

fn set(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let name = variable_name(d, 1)?;
    let target = b.main::<VarTable>().define(name)?;
    let value = Template::compile(b, d.arg(2))?;
    b.part::<Assignments>().0.push((target, value));
    Ok(())
}

struct Assign;

impl Handler for Assign {
    fn applies(&self, scope: &Scope) -> bool {
        !scope.part::<Assignments>().0.is_empty()
    }

    fn run<'a>(
        &'a self,
        s: &'a Rc<Session>,
        _: &'a mut Downstream,
    ) -> LocalBoxFuture<'a, Option<u16>> {
        for (target, value) in &s.server().scope.part::<Assignments>().0 {
            vars::write(s, *target, Some(value.eval(s)));
        }
        Box::pin(ready(None))
    }
}
