//! The shipped examples, started the way their first lines say, and by `include` as a whole.
//!
//! ```text
//!   conf/examples/NAME.conf with other ports -> moonbeat -p PREFIX -c … -> a call -> -s quit
//! ```

use std::net::TcpStream;
use std::process::Command;

use crate::harness::case::Case;
use crate::harness::client;
use crate::harness::server::{Prefix, Program, free_port};
use crate::harness::wait::{self, HANG};
use crate::tidy::source;

pub fn cases() -> Vec<Case> {
    let both = EXAMPLES.iter().flat_map(|example| [(example, false), (example, true)]);
    both.map(|(example, included)| {
        let how = if included { "by include" } else { "as it is" };
        Case::check(format!("examples/{}: {how}", example.name), move || start(example, included))
    })
    .collect()
}

/// One example: its ports, and a call with what its answer holds.
struct Example {
    name: &'static str,
    /// The first one is called.
    ports: &'static [u16],
    request: &'static str,
    headers: &'static str,
    answer: &'static str,
}

const EXAMPLES: &[Example] = &[
    Example {
        name: "nacos",
        ports: &[8848],
        request: "POST /nacos/v1/ns/instance?serviceName=nacos.test.1&ip=127.0.0.1&port=8080",
        headers: "",
        answer: "ok",
    },
    Example {
        name: "grpc-health",
        ports: &[20_000, 20_001],
        request: "POST /grpc.health.v1.Health/Check\n{\"service\":\"greet.GreetService\"}",
        headers: "Content-Type: application/json",
        answer: "{\"status\":\"SERVING\"}",
    },
    Example {
        name: "kong",
        ports: &[8001, 8000, 8100],
        request: "GET /upstreams",
        headers: "",
        answer: "{\"data\":[],\"next\":null}",
    },
];

fn start(example: &Example, included: bool) -> Result<(), String> {
    let prefix = Prefix::new()?;
    let file = format!("conf/examples/{}.conf", example.name);
    let mut text = source::read(&file);
    let ports: Vec<u16> = example.ports.iter().map(|_| free_port()).collect();
    for (from, to) in example.ports.iter().zip(&ports) {
        text = text.replace(&format!("listen {from};"), &format!("listen {to};"));
        text = text.replace(&format!("127.0.0.1:{from};"), &format!("127.0.0.1:{to};"));
    }
    prefix.write(&file, text)?;
    let name = match included {
        true => {
            let whole = format!("include examples/{}.conf;\n", example.name);
            prefix.write("conf/nginx.conf", whole)?;
            "conf/nginx.conf"
        }
        false => file.as_str(),
    };
    run(&prefix, name, &[])?;
    let checked = call(ports[0], example);
    run(&prefix, name, &["-s", "quit"])?;
    checked?;
    wait::until(HANG, || match TcpStream::connect(("127.0.0.1", ports[0])) {
        Ok(_) => Err("it does not quit".into()),
        Err(_) => Ok(()),
    })
}

/// The program goes to the background by itself.
fn run(prefix: &Prefix, conf: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(Program::Ours.path())
        .arg("-p")
        .arg(prefix.path())
        .args(["-c", conf])
        .args(args)
        .output()
        .map_err(|e| e.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn call(port: u16, example: &Example) -> Result<(), String> {
    wait::until(HANG, || TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string()))?;
    let request = client::build(example.request, example.headers, "close");
    let bytes = client::exchange(port, &request, HANG)?;
    let text = String::from_utf8_lossy(&bytes);
    if text.ends_with(example.answer) { Ok(()) } else { Err(text.into_owned()) }
}
