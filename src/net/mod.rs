//! Connections: addresses, listening, dialing, streams, TLS, names, idle pools, descriptors.
//!
//! ```text
//!  addr ──> listen ──accept──┐
//!       └─> dial ──connect───┴─> stream (plain or tls) ──idle──> pool
//!            ^ names: lookup while loading, resolver (over dns) while serving
//! ```

pub mod addr;
pub mod dial;
pub mod http1;
pub mod http2;
pub mod listen;
pub mod network;
pub mod proxy_protocol;
pub mod stream;
pub mod tls;

pub mod dns;
pub mod pool;
pub mod resolver;

pub mod fd;
pub mod lookup;
