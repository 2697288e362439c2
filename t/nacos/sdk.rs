//! Nacos' own Python client, where it is installed.

use super::scene::Scene;
use crate::harness::case::{Case, Outcome};
use crate::harness::python;

pub fn cases() -> Vec<Case> {
    vec![Case::new("nacos/B19: the Python client", || match python::missing("nacos") {
        Some(reason) => Outcome::Skipped(reason),
        None => Outcome::from(client()),
    })]
}

fn client() -> Result<(), String> {
    let scene = Scene::start("")?;
    let port = scene.port.to_string();
    let folder = std::env::temp_dir().join(format!("moonbeat-nacos-{port}"));
    let result = python::run("t/nacos/sdk.py", &[&port, &folder.to_string_lossy()]);
    let _ = std::fs::remove_dir_all(&folder);
    result?;
    scene.stop().map(drop)
}
