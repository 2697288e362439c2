//! `limit_req` and `limit_conn`: how often, and how many at a time.
//!
//! ```text
//!  limit_req_zone $key zone=name:1m rate=2r/s;  ─▶ Zone, shared by all workers and by reloads
//!  limit_req zone=name burst=5;                 ─▶ preaccess: pass, delay or refuse
//! ```

pub mod conn;
pub mod req;

use std::cell::Cell;

use crate::http::request::Request;
use crate::server::zones;

type Named<T> = zones::Named<Request, T>;

/// What became of a request, for `$limit_req_status` and `$limit_conn_status`.
#[derive(Default)]
pub struct Verdicts {
    req: Cell<Option<&'static str>>,
    conn: Cell<Option<&'static str>>,
}
