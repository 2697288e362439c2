//! `grpc_health [threshold=N%] [compat_code17] [connect_status];` in a location.
//!
//! ```text
//!  location /grpc.health.v1.Health/ { grpc_health threshold=50%; }
//! ```

use bstr::ByteSlice;

use crate::base::units;
use crate::conf::row::{LOCATION, Row, args, row};
use crate::conf::{Builder, Diag, Directive, Part};
use crate::http::build::Content;

use super::handler::HANDLER;

pub const ROWS: &[Row] = &[row("grpc_health", LOCATION, args(0, 3), set_health)];

/// How a location answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How many percent of an upstream's peers have to be up; one has to be in any case.
    pub threshold: u8,
    /// An unknown service is a business error of number 17, as Dubbo-go really answers.
    pub compat_code17: bool,
    /// HTTP statuses of errors follow Connect, not Triple.
    pub connect_status: bool,
}

/// The directive of one location.
#[derive(Default)]
pub struct GrpcHealth(pub Option<Options>);

impl Part for GrpcHealth {
    fn inherit(&mut self, _parent: &Self) {}
}

fn set_health(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut options = Options::default();
    for index in 1..=d.arg_count() {
        let word = d.arg(index);
        match word.as_bytes() {
            b"compat_code17" => options.compat_code17 = true,
            b"connect_status" => options.connect_status = true,
            _ => options.threshold = percent(word).ok_or_else(|| d.bad_param(index))?,
        }
    }
    d.once(&mut b.part::<GrpcHealth>().0, |_| Ok(options))?;
    b.part::<Content>().0 = Some(&HANDLER);
    Ok(())
}

fn percent(word: &[u8]) -> Option<u8> {
    let value = word.strip_prefix(b"threshold=")?;
    let number = units::parse_number(value.strip_suffix(b"%").unwrap_or(value))?;
    u8::try_from(number).ok().filter(|percent| *percent <= 100)
}
