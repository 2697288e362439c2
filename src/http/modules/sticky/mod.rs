//! `sticky`: the requests of a client stay with one peer of a group.
//!
//! ```text
//!  cookie  name of the peer in a cookie of ours   lookup ─▶ sid ─▶ Seed ─▶ that peer, if it lives
//!  route   name of the peer in variables
//!  learn   name of a session in variables         sessions: session ─▶ sid, learnt from answers
//! ```

mod conf;
mod sessions;

use std::{cell::RefCell, rc::Rc};

use bstr::BString;
use bytes::Bytes;

use crate::{
    base::{clock, date},
    http::{request::Request, template::Template},
    upstream::{Group, Peer},
};

pub use self::conf::ROWS;
use self::conf::{Cookie, Expires, Kind, StickyConf};

/// When a peer has served a request so far that it can be learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The head of the answer is there.
    Head,
    End,
}

/// The peer a request belongs to.
pub fn sid(r: &Rc<Request>, group: &Group) -> Option<BString> {
    let conf = of(group)?;
    let id = first(&conf.lookup, r)?;
    match &conf.kind {
        Kind::Learn(learn) => learn.sessions.find(&id, clock::mono_ms()),
        Kind::Cookie(_) | Kind::Route => Some(id.to_vec().into()),
    }
}

/// A peer was chosen; a cookie says which, in place of one about a peer that failed.
pub fn seated(r: &Rc<Request>, group: &Group, peer: &Peer) {
    let Some(StickyConf { kind: Kind::Cookie(cookie), .. }) = of(group) else { return };
    let line = cookie.line(r, &peer.sid());
    let before = r.ext::<Told>().0.replace(Some(line.clone()));
    let mut out = r.headers_out.borrow_mut();
    if let Some(before) = before {
        out.list.retain(|header| header.value != before);
    }
    out.list.add("Set-Cookie", line);
}

/// The peer serves this request: so it does later ones of its session.
pub fn learn(r: &Rc<Request>, group: &Group, peer: &Peer, moment: Moment) {
    let Some(StickyConf { kind: Kind::Learn(learn), lookup }) = of(group) else { return };
    if learn.after_head != (moment == Moment::Head) {
        return;
    }
    let now_ms = clock::mono_ms();
    if let Some(session) = first(&learn.create, r) {
        learn.sessions.keep(&session, &peer.sid(), now_ms, true);
    } else if let Some(session) = first(lookup, r) {
        learn.sessions.keep(&session, &peer.sid(), now_ms, false);
    }
}

impl Cookie {
    fn line(&self, r: &Rc<Request>, sid: &[u8]) -> Bytes {
        let mut line = [&self.name[..], b"=", sid].concat();
        match self.expires {
            Some(Expires::Max) => line.extend_from_slice(FAR_OFF),
            Some(Expires::After(s)) => {
                let at = date::cookie_time(clock::wall().secs.saturating_add_unsigned(s));
                line.extend_from_slice(format!("; expires={at}; max-age={s}").as_bytes());
            }
            None => {}
        }
        let mut add = |name: &str, value: &[u8]| {
            if !value.is_empty() {
                line.extend_from_slice(name.as_bytes());
                line.extend_from_slice(value);
            }
        };
        let value = |text: &Option<Template>| text.as_ref().map(|text| text.eval(r));
        add("; domain=", &value(&self.domain).unwrap_or_default());
        add("; ", if self.httponly { b"httponly" } else { b"" });
        add("; ", if self.secure { b"secure" } else { b"" });
        let same_site = value(&self.same_site).unwrap_or_default();
        let known = same_site.is_empty() || conf::is_same_site(&same_site);
        add("; samesite=", if known { &same_site } else { b"strict" });
        add("; path=", self.path.as_deref().map_or(&b""[..], |path| &path[..]));
        line.into()
    }
}

fn of(group: &Group) -> Option<&StickyConf> {
    group.scope()?.find::<conf::Sticky>()?.0.as_ref()
}

/// The first variable with a value.
fn first(variables: &[Template], r: &Rc<Request>) -> Option<Bytes> {
    variables.iter().map(|text| text.eval(r)).find(|value| !value.is_empty())
}

/// The cookie line this request's answer carries.
#[derive(Default)]
struct Told(RefCell<Option<Bytes>>);

const FAR_OFF: &[u8] = b"; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000";
