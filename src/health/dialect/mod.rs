//! Dialects: the words in which users ask for checks and read about them. No timing, no states.

pub mod openresty;

/// Whose words a check speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `resty.upstream.healthcheck`
    OpenResty,
}
