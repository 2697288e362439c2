//! The parts every family of cases is made of: servers, a client, checks, and the runner.
//!
//! ```text
//!   blocks (reads t/**/*.t) -> block_case -> server + client -> checks
//! ```

pub mod block_case;
pub mod blocks;
pub mod case;
pub mod certs;
pub mod checks;
pub mod client;
pub mod ledger;
pub mod literal;
pub mod modes;
pub mod ports;
pub mod python;
pub mod runner;
pub mod server;
pub mod wait;
