//! grpcio's health client, where it is installed.

use super::scene::Scene;
use crate::harness::case::{Case, Outcome};
use crate::harness::python;

pub fn cases() -> Vec<Case> {
    let name = "grpc/C5 to C8, C10, C11: the stubs of grpcio-health-checking";
    vec![Case::new(name, || match python::missing("grpc_health") {
        Some(reason) => Outcome::Skipped(reason),
        None => Outcome::from(stubs()),
    })]
}

fn stubs() -> Result<(), String> {
    let scene = Scene::start("")?;
    python::run("t/grpc/stubs.py", &[&scene.port.to_string()])?;
    scene.stop()
}
