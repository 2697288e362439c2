//! `grpc.health.v1.Health/Check` over HTTP/2.

use super::{Aim, Limits};
use crate::health::outcome::{Kind, Outcome};
use crate::health::spec::GrpcProbe;

pub(super) async fn probe(
    _spec: &GrpcProbe,
    _aim: &Aim<'_>,
    _limits: Limits,
) -> Result<Outcome, Outcome> {
    Err(Outcome::new(Kind::NoSocket).detail("not built yet"))
}
