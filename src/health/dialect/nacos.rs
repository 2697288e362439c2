//! The words of Nacos for persistent instances: a checker of a cluster, with Nacos' own numbers.
//!
//! ```text
//!  TCP    every 1000 ms     refused: down at once      three timeouts: down
//!  HTTP   every  500 ms     refused, or another status than 200, 302, 503: down at once
//!                           302, 503, no answer in time: the third in a row
//!  both   500 ms a probe, three successes in a row: up
//! ```
//! Nacos adapts the interval to how fast instances answer, between a minimum and a maximum; healthy
//! ones are at the minimum after some ten probes, and that is where we begin.

use bstr::BString;

use super::Dialect;
use crate::health::schedule::First;
use crate::health::spec::{
    CheckSpec, Fatal, HeadOrder, HttpProbe, MachineSpec, Pace, Pass, ProbeSpec, TcpProbe,
};
use crate::health::statuses::Statuses;

/// How the instances of a cluster are asked.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    Tcp,
    Http {
        path: &'a str,
        /// Ready lines, `Name: value`.
        headers: &'a [String],
        expected: u16,
    },
}

/// The check of one cluster of a service.
pub fn spec(service: &str, cluster: &str, asked: Asked<'_>) -> CheckSpec {
    let (probe, interval_ms, fatal) = match asked {
        Asked::Tcp => (ProbeSpec::Tcp(TcpProbe::default()), TCP_INTERVAL_MS, Statuses::default()),
        Asked::Http { path, headers, expected } => {
            let probe = http(path, headers, expected);
            (ProbeSpec::Http(probe), HTTP_INTERVAL_MS, all_but(&[expected, 302, 503]))
        }
    };
    CheckSpec {
        name: cluster.into(),
        probe,
        pace: Pace { first: First::AfterInterval, ..Pace::every(interval_ms) },
        timeout_ms: TIMEOUT_MS,
        machine: MachineSpec::RiseFall { rise: 3, fall: 3 },
        fatal: Fatal { statuses: fatal, refused: true },
        ..CheckSpec::new(Dialect::Nacos, service)
    }
}

fn http(path: &str, headers: &[String], expected: u16) -> HttpProbe {
    let slash = if path.starts_with('/') { "" } else { "/" };
    HttpProbe {
        path: format!("{slash}{path}").into(),
        headers: headers.iter().map(|line| BString::from(line.as_str())).collect(),
        order: HeadOrder::HostFirst,
        pass: Pass::Statuses(Statuses::of([expected])),
        ..HttpProbe::default()
    }
}

fn all_but(counted: &[u16]) -> Statuses {
    Statuses::of((100..=599).filter(|status| !counted.contains(status)))
}

const TCP_INTERVAL_MS: u64 = 1000;
const HTTP_INTERVAL_MS: u64 = 500;
const TIMEOUT_MS: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_an_http_checker() {
        let asked = Asked::Http { path: "h", headers: &["a: 1".into()], expected: 204 };
        let spec = spec("s", "DEFAULT", asked);
        let ProbeSpec::Http(probe) = &spec.probe else { panic!("{:?}", spec.probe) };
        assert_eq!((probe.path.to_string(), probe.headers.len()), ("/h".into(), 1));
        let fatal = |status| spec.fatal.statuses.contains(status);
        assert!(fatal(200) && fatal(404) && fatal(500));
        assert!(!fatal(204) && !fatal(302) && !fatal(503));
    }
}
