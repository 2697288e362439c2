//! Strings with variables of requests.

use super::request::Request;

pub type Template = crate::server::template::Template<Request>;
