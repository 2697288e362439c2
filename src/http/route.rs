//! Finding the virtual server and the location, as nginx core does.
//!
//! ```text
//!  exact match? ── yes ─▶ it
//!  longest prefix ── has its own children? look inside ── `^~`? ─▶ it
//!  first regex that matches ─▶ it, else the longest prefix
//! ```

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;

use crate::base::{escape, log::Level};
use crate::server::regex;
use crate::server::vars::Subject as _;

use super::{
    keepalive,
    location::{Location, LocationKind, LocationTree},
    method::Method,
    phase::Flow,
    request::Request,
};

/// The find-config phase.
pub fn find_location(r: &Rc<Request>) -> Flow {
    let found = r.with_server(|server| {
        let found = search(r, &server.root.children, &r.uri.borrow());
        let found = found.unwrap_or(Found::Location(&server.root));
        match found {
            Found::Location(location) => Ok(location.clone()),
            Found::Slash(location) => Err(location.clone()),
        }
    });
    let found = match found {
        Ok(location) => location,
        Err(location) => return add_slash(r, &location),
    };
    if found.core().internal && !r.internal.get() {
        r.set_location(found);
        return Flow::Status(404);
    }
    r.set_location(limit_except(r, found));
    keepalive::limit(r);
    too_large(r).unwrap_or(Flow::Next)
}

/// The file a URI maps to, for messages.
pub fn mapped_path(r: &Rc<Request>) -> String {
    let path = super::files::map_path(r).unwrap_or_default();
    String::from_utf8_lossy(&path).into_owned()
}

enum Found<'a> {
    Location(&'a Arc<Location>),
    /// `/dir` asked for, a proxied `/dir/` exists.
    Slash(&'a Arc<Location>),
}

fn search<'a>(r: &Rc<Request>, tree: &'a LocationTree, uri: &Bytes) -> Option<Found<'a>> {
    if tree.is_empty() {
        return None;
    }
    if let Some(exact) = tree.exact.get(bstr::BStr::new(uri)) {
        return Some(Found::Location(exact));
    }
    if let Some(slash) = auto_redirect(tree, uri) {
        return Some(Found::Slash(slash));
    }
    let mut best = tree.longest_prefix(uri);
    if let Some(prefix) = best {
        if let Some(inner) = search(r, &prefix.children, uri) {
            return Some(inner);
        }
        if matches!(prefix.kind, LocationKind::PrefixNoRegex) {
            return best.map(Found::Location);
        }
    }
    for location in &tree.regexes {
        let LocationKind::Regex(regex) = &location.kind else { continue };
        if let Some(groups) = regex::groups(regex, uri) {
            r.keep_groups(regex, groups);
            if let Some(inner) = search(r, &location.children, uri) {
                return Some(inner);
            }
            best = Some(location);
            break;
        }
    }
    best.map(Found::Location)
}

/// A location `/dir/` that is passed to an upstream answers `/dir` with a redirect.
fn auto_redirect<'a>(tree: &'a LocationTree, uri: &[u8]) -> Option<&'a Arc<Location>> {
    if !tree.adds_slash {
        return None;
    }
    let name = [uri, b"/"].concat();
    let adds = |location: &&Arc<Location>| {
        location.content_handler.is_some_and(|handler| handler.adds_slash())
    };
    let exact = || tree.exact.get(bstr::BStr::new(&name)).filter(adds);
    tree.prefixes.named(&name).filter(adds).or_else(exact)
}

fn add_slash(r: &Rc<Request>, location: &Arc<Location>) -> Flow {
    r.set_location(location.clone());
    let mut target = escape::uri(&location.name, &escape::URI).into_owned();
    let args = r.args.borrow();
    if !args.is_empty() {
        target.push(b'?');
        target.extend_from_slice(&args);
    }
    r.headers_out.borrow_mut().list.set("Location", target);
    Flow::Status(301)
}

/// Methods that `limit_except` does not name are governed by its block.
fn limit_except(r: &Rc<Request>, location: Arc<Location>) -> Arc<Location> {
    match &location.limit_except {
        Some((allowed, other)) if !r.method.borrow().is(*allowed) => other.clone(),
        _ => location,
    }
}

fn too_large(r: &Rc<Request>) -> Option<Flow> {
    let limit = r.with_location(|location| location.core().client_max_body_size());
    let length = r.body.expected_length()?;
    if limit == 0 || length <= limit || r.is_subrequest() {
        return None;
    }
    r.log(Level::Error, format_args!("client intended to send too large body: {length} bytes"));
    r.body.refuse();
    Some(Flow::Status(413))
}

/// Whether the method takes a body by its nature; used by `discard`.
pub fn is_read_only(method: &Method) -> bool {
    method.is(Method::GET | Method::HEAD)
}
