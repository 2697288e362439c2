//! What an `upstream {}` of `stream` knows of sessions: the key of `hash`.

use std::rc::Rc;

use bstr::BString;

use crate::conf::row::{Row, STREAM_UPSTREAM, args, row};
use crate::conf::{Builder, Diag, Directive, Part};
use crate::server::template::Template;
use crate::server::vars::Subject;
use crate::upstream::{self, Group, Seed};

use super::session::Session;

pub const ROWS: &[Row] = &[row("hash", STREAM_UPSTREAM, args(1, 2), set_hash)];

/// The key of `hash`, a part of the group's scope.
#[derive(Default)]
struct HashKey(Option<Template<Session>>);

impl Part for HashKey {
    fn inherit(&mut self, _parent: &Self) {}
}

/// What the group's method wants to know about the session.
pub fn seed(s: &Rc<Session>, group: &Group) -> Seed {
    let key = group.scope().and_then(|scope| scope.find::<HashKey>()?.0.as_ref());
    Seed {
        key: key.map_or_else(BString::default, |key| key.eval(s).to_vec().into()),
        client: s.client_ip(),
        sid: None,
    }
}

fn set_hash(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    upstream::conf::set_hash(b, d)?;
    let key = Template::compile(b, d.arg(1))?;
    b.part::<HashKey>().0 = Some(key);
    Ok(())
}
