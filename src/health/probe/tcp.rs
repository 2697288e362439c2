//! The plainest probe: a peer that accepts a connection is well.

use super::Limits;
use crate::health::outcome::{Kind, Outcome};
use crate::net::addr::Addr;
use crate::net::dial::{self, Dial, DialError};
use crate::net::stream::Stream;

pub(super) async fn probe(addr: &Addr, limits: Limits) -> Outcome {
    match connect(addr, limits).await {
        Ok(_) => Outcome::new(Kind::Connected),
        Err(outcome) => outcome,
    }
}

/// Connects; the text of a failure is a cosocket's.
pub(super) async fn connect(addr: &Addr, limits: Limits) -> Result<Stream, Outcome> {
    let how = Dial { timeout: Some(limits.each), ..Dial::default() };
    dial::connect(addr, &how).await.map_err(|error| match &error {
        _ if error.is_timeout() => Outcome::new(Kind::ConnectTimeout).detail("timeout"),
        DialError::Socket(e) => Outcome::new(Kind::NoSocket).detail(super::error_text(e)),
        _ => {
            let text = error.io().map(super::error_text).unwrap_or_default();
            Outcome::new(Kind::ConnectFailed).detail(text)
        }
    })
}
