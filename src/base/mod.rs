//! Things without opinions: what every floor may use.

pub mod alloc;
pub mod clock;
pub mod date;
pub mod errno;
pub mod escape;
pub mod log;
pub mod regex;
pub mod slot;
pub mod tz;
pub mod units;
