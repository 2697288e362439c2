//! Connections: addresses, listening, dialing, streams, TLS, descriptors.
//!
//! ```text
//!  addr ──> listen ──accept──┐
//!       └─> dial ──connect───┴─> stream (plain or tls)
//! ```

pub mod addr;
pub mod dial;
pub mod http1;
pub mod listen;
pub mod stream;
pub mod tls;

pub mod fd;
pub mod lookup;
