//! Faces: other gateways' HTTP and gRPC interfaces, as content handlers that a directive attaches
//! to a location.
//!
//! ```text
//!  request ─▶ face (words of one product) ─▶ store, upstream::Group, health::Engine
//! ```

pub mod apisix;
pub mod audit;
pub mod check_status;
pub mod grpc;
pub mod health_override;
pub mod json;
pub mod key;
pub mod kong;
pub mod nacos;

use std::sync::Arc;

use crate::process::Cycle;

/// Opens what the faces of a configuration keep their things in. Each worker thread calls this
/// before it serves; a failure keeps the configuration from starting.
pub fn prepare(cycle: &Arc<Cycle>) -> Result<(), String> {
    kong::start(cycle)?;
    apisix::prepare(cycle)?;
    nacos::start(cycle)
}
