//! `grpc_pass` and `grpc_*`: requests passed on over HTTP/2, in both directions at once.
//!
//! ```text
//!  grpc_* ─▶ Grpc, the same settings as Proxy with gRPC's defaults ─▶ Passage ─▶ proxy::h2
//! ```

use crate::conf::{
    Part,
    row::{HTTP_LEVELS, Row, row, take},
};
use crate::server::secure::secure_rows;

use super::{
    conf::{PASS_LEVELS, set_header, set_pass},
    family::{Family, Settings},
    rows::{answer_rows, peer_rows},
    secure::conf as secure,
    settings::Proxy,
};

/// The settings of `grpc_*`.
#[derive(Default)]
pub struct Grpc(pub Proxy);

impl Part for Grpc {
    fn inherit(&mut self, parent: &Self) {
        self.0.inherit(&parent.0);
    }
}

impl Settings for Grpc {
    fn settings(&mut self) -> &mut Proxy {
        &mut self.0
    }
}

pub const ROWS: &[Row] = &[
    row("grpc_pass", PASS_LEVELS, take(1), |b, d| set_pass::<Grpc>(b, d, Family::Grpc)),
    row("grpc_set_header", HTTP_LEVELS, take(2), set_header::<Grpc>),
];

pub const PEER_ROWS: &[Row] = &peer_rows!("grpc", Grpc);
pub const ANSWER_ROWS: &[Row] = &answer_rows!("grpc", Grpc);
pub const SSL_ROWS: &[Row] = secure_rows!("grpc", HTTP_LEVELS, secure::<Grpc>);
