//! Dialects: the words in which users ask for checks and read about them. No timing, no states.

pub mod kong;
mod lanes;
pub mod nacos;
mod native;
pub mod openresty;
pub mod resty;

use super::board::Event;
use crate::base::log::Level;

/// Whose words a check speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `resty.upstream.healthcheck`
    OpenResty,
    /// `health_check`, in NGINX Plus's words and ours.
    Native,
    /// `check` of nginx_upstream_check_module and Tengine.
    UpstreamCheck,
    /// `resty.healthcheck`
    Resty,
    Apisix,
    Kong,
    Nacos,
    Grpc,
}

impl Dialect {
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenResty => "resty.upstream.healthcheck",
            Self::Native => "health_check",
            Self::UpstreamCheck => "check",
            Self::Resty => "resty.healthcheck",
            Self::Apisix => "apisix",
            Self::Kong => "kong",
            Self::Nacos => "nacos",
            Self::Grpc => "grpc",
        }
    }
}

/// The line of the error log an event is worth. Scripts write their own.
pub fn log_line(event: &Event) -> Option<(Level, String)> {
    match event.spec.dialect {
        Dialect::OpenResty | Dialect::Resty => None,
        Dialect::Apisix | Dialect::Kong => lanes::log_line(event),
        Dialect::Native | Dialect::UpstreamCheck | Dialect::Nacos | Dialect::Grpc => {
            native::log_line(event)
        }
    }
}
