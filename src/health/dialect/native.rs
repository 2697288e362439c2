//! Our own words: one line for each thing that changes what traffic sees, with everything in it.
//!
//! ```text
//!  upstream "foo": peer 127.0.0.1:81 is down after 3 failures of 3 (check "x", http, active):
//!  L4CON connect failed: connection refused
//! ```

use crate::base::log::Level;
use crate::health::board::{Event, What};

pub(super) fn log_line(event: &Event) -> Option<(Level, String)> {
    let (level, text) = match &event.what {
        What::Changed { transition, why, source } => {
            let up = transition.verdict()?;
            let (word, things) = if up { ("up", "success(es)") } else { ("down", "failure(s)") };
            let (count, from) = (transition.count, source.name());
            (Level::Warn, format!("is {word} after {count} {things} by {from} check: {why}"))
        }
        What::Forced { up } => {
            let word = if *up { "up" } else { "down" };
            (Level::Warn, format!("is set {word} by hand"))
        }
        What::Overridden(Some(over)) => {
            let (state, author, reason) = (over.state.name(), &over.author, &over.reason);
            (Level::Warn, format!("is kept {state} by {author}: {reason}"))
        }
        What::Overridden(None) => (Level::Warn, "follows its checks again".to_string()),
        What::Ejected { times, for_ms } => {
            let text = format!("is ejected for {for_ms} ms after failed requests, time {times}");
            (Level::Warn, text)
        }
        What::Readmitted => (Level::Notice, "gets requests again after its ejection".to_string()),
        What::Flapping { for_ms } => {
            (Level::Warn, format!("turns too often and is held down for {for_ms} ms"))
        }
        What::Failing { why, counted, hidden } => {
            let count = counted.map_or(String::new(), |(n, limit)| format!(" {n} of {limit}"));
            let more = match hidden {
                0 => String::new(),
                n => format!(" ({n} more failures were not logged)"),
            };
            (Level::Warn, format!("fails a probe{count}: {why}{more}"))
        }
        What::Expired => (Level::Warn, "sends no heartbeats and is forgotten".to_string()),
        What::Panic(true) => (Level::Error, "has too few healthy peers: all are used".to_string()),
        What::Panic(false) => (Level::Warn, "has enough healthy peers again".to_string()),
        What::Added { .. } | What::Removed | What::Cleared => return None,
        What::Counted { .. } | What::Probed(_) => return None,
    };
    Some((level, format!("{}{text}", subject(event))))
}

/// `upstream "foo" check "x": peer 127.0.0.1:81 `
fn subject(event: &Event) -> String {
    let spec = &event.spec;
    let check = match spec.name.is_empty() {
        true => String::new(),
        false => format!(" check \"{}\"", spec.name),
    };
    let peer = event.target.as_ref().map_or(String::new(), |target| {
        // The host name tells more than an address, where there is one.
        let server = &target.server;
        match server.is_empty() || *server == target.name.as_bytes() {
            true => format!(": peer {}", target.name),
            false => format!(": peer {} ({server})", target.name),
        }
    });
    format!("upstream \"{}\"{check}{peer} ", spec.upstream)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::health::dialect::Dialect;
    use crate::health::machine::{State, Transition};
    use crate::health::spec::CheckSpec;
    use crate::health::target::Target;
    use crate::health::watch::Source;

    #[test]
    fn a_transition_tells_everything() {
        let spec = CheckSpec { name: "deep".into(), ..CheckSpec::new(Dialect::Native, "foo") };
        let transition = Transition { from: State::Healthy, to: State::Unhealthy, count: 3 };
        let why = "L7STS 503 bad status".to_string();
        let event = Event {
            at_ms: 0,
            spec: Arc::new(spec),
            target: Some(Arc::new(Target::new("127.0.0.1:81", "a.b:81", None))),
            after: Some((State::Unhealthy, 0)),
            what: What::Changed { transition, why, source: Source::Active },
        };
        let line = "upstream \"foo\" check \"deep\": peer 127.0.0.1:81 (a.b:81) is down after \
                    3 failure(s) by active check: L7STS 503 bad status";
        assert_eq!(log_line(&event), Some((Level::Warn, line.to_string())));
    }
}
