//! What happened with the upstreams of a request, for `$upstream_*` and log lines.

use bytes::Bytes;

/// One try to get an answer from a peer.
#[derive(Clone, Debug, Default)]
pub struct Try {
    /// `http://127.0.0.1:80/path`, as error log lines show it.
    pub url: Bytes,
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
