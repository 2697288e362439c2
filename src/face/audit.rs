//! One line for each write that a face let through or refused: who, what, and how it ended.
//!
//! ```text
//!  [notice] … kong admin: PATCH "/upstreams/svc" answered 200, client: 127.0.0.1, server: _
//! ```
//!
//! Neither headers nor bodies nor arguments appear: keys travel in them. For that reason the line
//! does not have the usual tail either, which shows the request line with its arguments.

use std::rc::Rc;

use bstr::BStr;

use crate::base::log::Level;
use crate::http::Request;

/// Notes a write. `face` says whose words were spoken.
pub fn note(r: &Rc<Request>, face: &str, status: u16) {
    let log = r.location().log();
    if !log.enabled(Level::Notice) {
        return;
    }
    let (method, uri) = (r.method.borrow(), r.uri.borrow());
    let (client, server) = (r.conn.remote_text.borrow(), r.server().name_text());
    log.write(
        Level::Notice,
        Some(r.conn.number),
        format_args!(
            "{face}: {} \"{}\" answered {status}, client: {}, server: {}",
            BStr::new(&method.name),
            uri.escape_ascii(),
            BStr::new(&*client),
            BStr::new(&server),
        ),
    );
}
