//! `grpc.health.v1.Health` as a Dubbo-go server answers it: how the upstreams are.
//!
//! ```text
//!  request ─▶ handler ─▶ media: which protocol, which codec
//!               ├ unary   bare message: JSON or protobuf over any HTTP (Triple, Connect)
//!               └ stream  framed messages: gRPC, Connect's streams
//!                   └▶ health: Check, List, Watch ─▶ status ─▶ upstream::live()
//!                                   └ board: one look at each watched service, many streams
//! ```

pub mod conf;

mod board;
mod code;
mod coding;
mod deadline;
mod frame;
mod handler;
mod json;
mod media;
mod proto;
mod status;
mod stopping;
mod stream;
mod unary;

pub use self::stopping::{bind, left};
