//! The faces as their own descriptions tell them: schemathesis calls every operation, well and
//! badly, and looks whether the answers are what the description promises.
//!
//! ```text
//!   GET /openapi.json ─▶ schemathesis: coverage, then chance ─▶ no 5xx, answers fit the schema
//! ```

use crate::harness::case::{Case, Outcome};
use crate::harness::python;
use crate::harness::server::{Prefix, Program, Server, free_port};
use crate::tidy::source;

pub fn cases() -> Vec<Case> {
    let real = |face: &'static Face| {
        let name = format!("openapi/{}: schemathesis finds nothing", face.name);
        Case::new(name, move || match python::missing("schemathesis") {
            Some(reason) => Outcome::Skipped(reason),
            None => Outcome::from(run(face)),
        })
    };
    FACES.iter().map(real).collect()
}

/// A face, by the example it is in.
struct Face {
    name: &'static str,
    /// What its `listen` says.
    listen: &'static str,
    /// The other ports of the example.
    others: &'static [&'static str],
    /// Sent with every call.
    header: &'static str,
}

const FACES: &[Face] = &[
    Face {
        name: "kong",
        listen: "127.0.0.1:8001",
        others: &["listen 8000;", "127.0.0.1:8100"],
        header: "X-By: schemathesis",
    },
    Face {
        name: "apisix",
        listen: "127.0.0.1:9180",
        others: &["127.0.0.1:9080", "127.0.0.1:9090", "127.0.0.1:9091"],
        header: "X-API-KEY: edd1c9f034335f136f87ad84b625c8f1",
    },
    Face { name: "nacos", listen: "127.0.0.1:8848", others: &[], header: "X-By: schemathesis" },
];

fn run(face: &Face) -> Result<(), String> {
    let (prefix, port) = (Prefix::new()?, free_port());
    let mut example = source::read(&format!("conf/examples/{}.conf", face.name))
        .replace(face.listen, &format!("127.0.0.1:{port}"));
    for other in face.others {
        let to = format!("127.0.0.1:{}", free_port());
        let to = if other.ends_with(';') { format!("listen {to};") } else { to };
        example = example.replace(other, &to);
    }
    prefix.write("conf/example.conf", example)?;
    let conf = "daemon off;\nmaster_process off;\ninclude example.conf;\n";
    let mut server = Server::start(Program::Ours, prefix, conf, port)?;
    let url = format!("http://127.0.0.1:{port}{}", path(face));
    let examples = if std::env::var_os("T_LONG").is_some() { "200" } else { "3" };
    let found = python::module(
        "schemathesis.cli",
        &[
            "run",
            &url,
            "--header",
            face.header,
            "--checks",
            CHECKS,
            "--phases",
            "coverage,fuzzing",
            "--max-examples",
            examples,
            "--request-timeout",
            "60",
            "--suppress-health-check",
            "all",
            "--seed",
            "1",
            "--warnings",
            "off",
        ],
    );
    found?;
    server.stop(&[])
}

/// Where the description is.
fn path(face: &Face) -> &'static str {
    if face.name == "nacos" { "/nacos/openapi.json" } else { "/openapi.json" }
}

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";
