//! The log lines of `resty.healthcheck`, which people of APISIX and Kong grep for.
//!
//! ```text
//!  [healthcheck] (upstream#/x) unhealthy TCP increment (1/2) for 'foo.com(127.0.0.1:1970)'
//! ```

use bstr::ByteSlice;

use crate::base::log::Level;
use crate::health::board::{Event, What};
use crate::health::machine::Seen;

pub(super) fn log_line(event: &Event) -> Option<(Level, String)> {
    let target = event.target.as_ref()?;
    let host = match target.server.is_empty() {
        true => target.name.as_bytes().as_bstr(),
        false => target.server.as_bstr(),
    };
    let text = match &event.what {
        What::Counted { seen, count, limit, .. } => {
            let (way, kind) = match seen {
                Seen::Success => ("healthy", "SUCCESS"),
                Seen::HttpFailure | Seen::Fatal => ("unhealthy", "HTTP"),
                Seen::TcpFailure => ("unhealthy", "TCP"),
                Seen::Timeout => ("unhealthy", "TIMEOUT"),
            };
            format!("{way} {kind} increment ({count}/{limit}) for '{host}({})'", target.name)
        }
        What::Forced { up } => {
            let way = if *up { "healthy" } else { "unhealthy" };
            format!("{way} forced for {host} {}", target.name)
        }
        _ => return None,
    };
    Some((Level::Warn, format!("[healthcheck] ({}) {text}", event.spec.upstream)))
}
