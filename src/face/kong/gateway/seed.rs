//! The key of a consistent hash: where `hash_on` and, failing that, `hash_fallback` find it.

use std::rc::Rc;

use bytes::Bytes;

use super::super::entity::{HashOn, UpstreamConf};
use super::super::live::new_id;
use super::request::Asked;
use crate::base::escape;
use crate::http::Request;
use crate::upstream::Seed;

/// What the group's method needs to know of a request.
pub fn seed(
    r: &Rc<Request>,
    conf: &UpstreamConf,
    captures: &[(String, String)],
    asked: &Asked,
) -> Seed {
    let sides = [
        Side {
            on: conf.hash_on,
            header: &conf.hash_on_header,
            query_arg: &conf.hash_on_query_arg,
            uri_capture: &conf.hash_on_uri_capture,
        },
        Side {
            on: conf.hash_fallback,
            header: &conf.hash_fallback_header,
            query_arg: &conf.hash_fallback_query_arg,
            uri_capture: &conf.hash_fallback_uri_capture,
        },
    ];
    let find = |side: &Side<'_>| side.key(r, conf, captures, asked).filter(|key| !key.is_empty());
    let key = sides.iter().find_map(find).unwrap_or_default();
    Seed { key: key.to_vec().into(), client: r.conn.peer().ip(), sid: None }
}

struct Side<'a> {
    on: HashOn,
    header: &'a Option<String>,
    query_arg: &'a Option<String>,
    uri_capture: &'a Option<String>,
}

impl Side<'_> {
    fn key(
        &self,
        r: &Rc<Request>,
        conf: &UpstreamConf,
        captures: &[(String, String)],
        asked: &Asked,
    ) -> Option<Bytes> {
        match self.on {
            HashOn::None | HashOn::Consumer => None,
            HashOn::Ip => Some(r.conn.remote_text.borrow().clone()),
            HashOn::Path => Some(asked.path.clone().into()),
            HashOn::Header => {
                let name = self.header.as_ref()?;
                r.headers_in.borrow().joined(name.as_bytes(), b",")
            }
            HashOn::QueryArg => query_arg(r, self.query_arg.as_ref()?),
            HashOn::UriCapture => {
                let wanted = self.uri_capture.as_ref()?;
                let (_, value) = captures.iter().find(|(name, _)| name == wanted)?;
                Some(value.clone().into())
            }
            HashOn::Cookie => Some(cookie(r, conf)?),
        }
    }
}

fn query_arg(r: &Rc<Request>, wanted: &str) -> Option<Bytes> {
    let args = r.args.borrow();
    let (pairs, _) = escape::decode_args(&args, ARGS_MAX);
    let (_, value) = pairs.into_iter().find(|(name, _)| name == wanted.as_bytes())?;
    value.map(Bytes::from)
}

/// The cookie's value; a client without one is given one.
fn cookie(r: &Rc<Request>, conf: &UpstreamConf) -> Option<Bytes> {
    let name = conf.hash_on_cookie.as_ref()?;
    let found = r.var_by_name(format!("cookie_{name}").as_bytes());
    if let Some(value) = found.filter(|value| !value.is_empty()) {
        return Some(value);
    }
    let value = new_id();
    let path = conf.hash_on_cookie_path.as_deref().unwrap_or("/");
    let line = format!("{name}={value}; Path={path}; HttpOnly");
    r.headers_out.borrow_mut().list.add("Set-Cookie", line);
    Some(value.into())
}

const ARGS_MAX: usize = 100;
