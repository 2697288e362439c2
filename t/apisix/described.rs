//! The Admin API against its own description, driven by schemathesis where that is installed.
//!
//! ```text
//!   /openapi.json  ->  made up requests  ->  no 5xx, answers as they are described, no alert
//! ```

use super::scene::{KEY, Scene};
use crate::harness::case::{Case, Outcome};
use crate::harness::python;

pub fn cases() -> Vec<Case> {
    vec![Case::new("apisix/schemathesis", || match python::missing("schemathesis") {
        Some(reason) => Outcome::Skipped(reason),
        None => Outcome::from(driven()),
    })]
}

fn driven() -> Result<(), String> {
    let scene = Scene::start()?;
    let long = std::env::var_os("T_LONG").is_some();
    let (examples, phases) =
        if long { ("200", "coverage,fuzzing,stateful") } else { ("5", "fuzzing") };
    let url = format!("http://127.0.0.1:{}", scene.admin);
    let described = format!("{url}/openapi.json");
    let args = [
        ["run", "--no-color"],
        ["--header", KEY],
        ["--url", &url],
        ["--checks", CHECKS],
        ["--phases", phases],
        ["--max-examples", examples],
        ["--seed", "1"],
    ];
    let args: Vec<&str> = args.into_iter().flatten().chain([&*described]).collect();
    python::module("schemathesis.cli", &args)?;
    scene.stop().map(drop)
}

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";
