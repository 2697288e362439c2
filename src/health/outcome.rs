//! What a probe found: a kind with a short word for tables, and the facts behind it.
//!
//! ```text
//!  probe ──▶ Outcome { kind: BadStatus, status: 404 } ──its row──▶ Seen::HttpFailure, "L7STS"
//! ```
//!
//! One table says for each kind its word (those HAProxy uses), a text for people, and how a
//! machine counts it.

use std::time::Duration;

use bstr::BString;

use super::machine::Seen;

/// The result of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub kind: Kind,
    pub status: Option<u64>,
    /// The error or the line received, at most [`DETAIL_MAX_BYTES`].
    pub detail: BString,
    pub took: Duration,
}

impl Outcome {
    pub fn new(kind: Kind) -> Self {
        Self { kind, status: None, detail: BString::default(), took: Duration::ZERO }
    }

    /// Adds the error text or the received line, cut to what is kept.
    pub fn detail(mut self, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        self.detail = text[..text.len().min(DETAIL_MAX_BYTES)].into();
        self
    }

    pub fn status(mut self, status: u64) -> Self {
        self.status = Some(status);
        self
    }

    pub fn is_pass(&self) -> bool {
        self.kind.row().seen == Some(Seen::Success)
    }

    /// What the machine is told; `None` when the result does not count.
    pub fn seen(&self) -> Option<Seen> {
        self.kind.row().seen
    }

    /// One line for people: `L7STS 404 bad status`.
    pub fn line(&self) -> String {
        let row = self.kind.row();
        let mut line = row.word.to_string();
        if let Some(status) = self.status {
            line.push_str(&format!(" {status}"));
        }
        line.push(' ');
        line.push_str(row.text);
        if !self.detail.is_empty() {
            line.push_str(": ");
            push_printable(&mut line, &self.detail);
        }
        line
    }
}

/// Bytes of a stranger's, so that they cannot pretend to be a line of ours.
fn push_printable(line: &mut String, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c.is_control() {
                true => line.push_str(&format!("\\x{:02X}", u32::from(c))),
                false => line.push(c),
            }
        }
        chunk.invalid().iter().for_each(|b| line.push_str(&format!("\\x{b:02X}")));
    }
}

/// The ways a probe can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Connected, and nothing more was asked.
    Connected,
    /// The response is one that counts as healthy.
    Passed,
    /// Our own side failed before anything was sent: no descriptor, no port.
    NoSocket,
    ConnectFailed,
    ConnectTimeout,
    TlsFailed,
    TlsTimeout,
    SendFailed,
    SendTimeout,
    /// Closed or reset before the answer was complete.
    ReceiveFailed,
    ReceiveTimeout,
    /// The first line is not one of HTTP.
    BadLine,
    /// The status is not among the healthy ones.
    BadStatus,
    /// The status is in neither list: it says nothing.
    Ignored,
    BadHeader,
    BadBody,
    /// A gRPC service that does not serve, or a call that failed.
    BadGrpc,
    /// The peer's name has no address.
    Unresolved,
    /// A response that came, but too late for the passive check.
    Slow,
    /// No heartbeat for too long.
    Silent,
    /// A heartbeat.
    Beat,
    /// The handshake is over, and nothing more was asked.
    Shaken,
}

impl Kind {
    pub const ALL: [Self; 22] = [
        Self::Connected,
        Self::Passed,
        Self::NoSocket,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::TlsFailed,
        Self::TlsTimeout,
        Self::SendFailed,
        Self::SendTimeout,
        Self::ReceiveFailed,
        Self::ReceiveTimeout,
        Self::BadLine,
        Self::BadStatus,
        Self::Ignored,
        Self::BadHeader,
        Self::BadBody,
        Self::BadGrpc,
        Self::Unresolved,
        Self::Slow,
        Self::Silent,
        Self::Beat,
        Self::Shaken,
    ];

    /// The short word of the kind, as HAProxy's statistics have it.
    pub fn word(self) -> &'static str {
        self.row().word
    }

    /// The name of the kind in JSON and metrics.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    fn row(self) -> &'static KindRow {
        &TABLE[self as usize]
    }
}

struct KindRow {
    name: &'static str,
    word: &'static str,
    text: &'static str,
    seen: Option<Seen>,
}

const fn kind(
    name: &'static str,
    word: &'static str,
    text: &'static str,
    seen: Option<Seen>,
) -> KindRow {
    KindRow { name, word, text, seen }
}

/// In the order of [`Kind`].
const TABLE: [KindRow; 22] = [
    kind("connected", "L4OK", "connected", Some(Seen::Success)),
    kind("passed", "L7OK", "passed", Some(Seen::Success)),
    kind("no_socket", "SOCKERR", "no socket", None),
    kind("connect_failed", "L4CON", "connect failed", Some(Seen::TcpFailure)),
    kind("connect_timeout", "L4TOUT", "connect timed out", Some(Seen::Timeout)),
    kind("tls_failed", "L6RSP", "handshake failed", Some(Seen::TcpFailure)),
    kind("tls_timeout", "L6TOUT", "handshake timed out", Some(Seen::Timeout)),
    kind("send_failed", "L4CON", "send failed", Some(Seen::TcpFailure)),
    kind("send_timeout", "L4TOUT", "send timed out", Some(Seen::Timeout)),
    kind("receive_failed", "L7RSP", "no response", Some(Seen::TcpFailure)),
    kind("receive_timeout", "L7TOUT", "response timed out", Some(Seen::Timeout)),
    kind("bad_line", "L7RSP", "bad status line", Some(Seen::HttpFailure)),
    kind("bad_status", "L7STS", "bad status", Some(Seen::HttpFailure)),
    kind("ignored", "L7STS", "status in no list", None),
    kind("bad_header", "L7RSP", "headers do not match", Some(Seen::HttpFailure)),
    kind("bad_body", "L7RSP", "body does not match", Some(Seen::HttpFailure)),
    kind("bad_grpc", "L7STS", "not serving", Some(Seen::HttpFailure)),
    kind("unresolved", "DNS", "no address", Some(Seen::TcpFailure)),
    kind("slow", "L7TOUT", "response too slow", Some(Seen::Timeout)),
    kind("silent", "LEASE", "no heartbeat", Some(Seen::Timeout)),
    kind("beat", "BEAT", "heartbeat", Some(Seen::Success)),
    kind("shaken", "L6OK", "handshake done", Some(Seen::Success)),
];

/// How much of an error or a line is kept.
pub const DETAIL_MAX_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_row() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
        assert_eq!(Kind::BadStatus.name(), "bad_status");
        assert_eq!(Kind::Connected.word(), "L4OK");
    }

    #[test]
    fn a_line_for_people() {
        let o = Outcome::new(Kind::BadStatus).status(404);
        assert_eq!(o.line(), "L7STS 404 bad status");
        let o = Outcome::new(Kind::ConnectFailed).detail("connection refused");
        assert_eq!(o.line(), "L4CON connect failed: connection refused");
        assert!(!o.is_pass());
        let o = Outcome::new(Kind::BadBody).detail(b"a\r\n[emerg] \x1b[31m\xff\xc3\xa9");
        let forged = "L7RSP body does not match: a\\x0D\\x0A[emerg] \\x1B[31m\\xFF\u{e9}";
        assert_eq!(o.line(), forged);
    }
}
