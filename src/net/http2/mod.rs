//! The HTTP/2 codec: frames and compressed header lists; no sockets, no clock, no configuration.
//!
//! ```text
//!   bytes ─▶ frame::Head, payload ─┬ HEADERS, CONTINUATION ─▶ hpack::Decoder ─▶ fields
//!                                  └ DATA, SETTINGS, …       (huffman, table)
//!   fields ─▶ hpack::encode ─▶ frame::put_headers ─▶ bytes
//! ```
//!
//! One codec for both roles, as with HTTP/1: what nginx answers to a malformed header or how it
//! cuts a response into frames is its contract, and a library would decide it for us.

pub mod frame;
pub mod hpack;
pub mod huffman;
mod table;

/// What the client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The window of a stream and of a connection until somebody says otherwise.
pub const DEFAULT_WINDOW: i64 = 65_535;
pub const MAX_WINDOW: i64 = 0x7fff_ffff;
pub const DEFAULT_FRAME_BYTES: usize = 16_384;
pub const MAX_FRAME_BYTES: usize = (1 << 24) - 1;

/// Why a stream or a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    NoError = 0,
    Protocol = 1,
    Internal = 2,
    FlowControl = 3,
    SettingsTimeout = 4,
    StreamClosed = 5,
    FrameSize = 6,
    RefusedStream = 7,
    Cancel = 8,
    Compression = 9,
    EnhanceYourCalm = 11,
}
