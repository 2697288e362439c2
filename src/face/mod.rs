//! Faces: other gateways' HTTP and gRPC interfaces, as content handlers that a directive attaches
//! to a location.
//!
//! ```text
//!  request ─▶ face (words of one product) ─▶ store, upstream::Group, health::Engine
//! ```

pub mod audit;
pub mod json;
pub mod key;
