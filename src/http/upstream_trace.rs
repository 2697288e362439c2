//! What happened with the upstreams of a request, for `$upstream_*` and log lines.
//!
//! ```text
//!  proxy_pass ─▶ Facts (whom, what)   each try ─▶ Try (peer, status, times)   response ─▶ head
//! ```

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;

use crate::{base::clock, net::http1::ResponseHead};

use super::{proxy::forward::Origin, request::Request};

/// One try to get an answer from a peer. An entry without a peer stands between the tries of one
/// pass and those of the next, after an internal redirect.
#[derive(Clone, Debug, Default)]
pub struct Try {
    /// The peer's name, as `$upstream_addr` shows it.
    pub peer: Bytes,
    pub status: u16,
    pub started_ms: u64,
    pub connect_ms: Option<u64>,
    pub header_ms: Option<u64>,
    pub response_ms: Option<u64>,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    /// The response length without head.
    pub response_length: u64,
}

/// Whom the request is passed to, and what came back.
#[derive(Clone, Default)]
pub struct Facts {
    /// `http://`
    pub scheme: &'static str,
    pub origin: Option<Arc<Origin>>,
    /// The URI asked for.
    pub uri: Bytes,
    /// The head of the last response.
    pub head: Option<Rc<ResponseHead>>,
    pub trailers: Vec<(Bytes, Bytes)>,
    /// `HIT` and its kin; empty where nothing is cached.
    pub cache_status: &'static str,
}

impl Request {
    /// The request is about to be passed on; what is known of earlier upstreams stays in the trace.
    pub fn upstream_begins(&self, facts: Facts) {
        *self.upstream.borrow_mut() = facts;
        let mut trace = self.upstream_trace.borrow_mut();
        if !trace.is_empty() {
            trace.push(Try::default());
        }
    }

    /// Opens an entry for the next try.
    pub fn upstream_try(&self, peer: Bytes) {
        let started_ms = clock::mono_ms();
        self.upstream_trace.borrow_mut().push(Try { peer, started_ms, ..Try::default() });
    }

    /// Changes the entry of the present try; told how long it has taken.
    pub fn upstream_note(&self, change: impl FnOnce(&mut Try, u64)) {
        if let Some(last) = self.upstream_trace.borrow_mut().last_mut() {
            let took_ms = clock::mono_ms().saturating_sub(last.started_ms);
            change(last, took_ms);
        }
    }
}
