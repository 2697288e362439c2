//! Where a URI lies on disk: `root` and `alias`.

use std::rc::Rc;

use bytes::Bytes;

use super::{location::LocationKind, request::Request};

/// Maps the request's URI to a path; `None` when it cannot be mapped.
pub fn map_path(r: &Rc<Request>) -> Option<Bytes> {
    let location = r.location();
    let uri = r.uri.borrow().clone();
    let Some(root) = &location.core().root else {
        let mut path =
            std::os::unix::ffi::OsStrExt::as_bytes(r.http.prefix.join("html").as_os_str()).to_vec();
        path.extend_from_slice(&uri);
        return Some(path.into());
    };
    let mut path = root.path.eval(r).to_vec();
    match (&location.kind, root.alias) {
        (_, false) => path.extend_from_slice(&uri),
        (LocationKind::Regex(_), true) => {}
        (_, true) => path.extend_from_slice(uri.get(location.name.len()..)?),
    }
    Some(path.into())
}
