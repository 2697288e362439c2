//! Things without opinions: what every floor may use.

pub mod errno;
pub mod units;
