//! moonbeat: a Lua-scriptable gateway that knows which upstream peers are healthy, why, and since
//! when.
//!
//! Floors, from the ground up. A module uses only modules on lower floors; `t/tidy.rs` enforces it.
//!
//! ```text
//!  6  main, cli             flags in, exit code out
//!  5  app                   assembly: the only file that knows every feature
//!  4  lua        face       VM, light threads, ngx.*; other gateways' interfaces
//!  3  http  stream  health   do not know each other; they meet in upstream
//!  2  process    upstream   server, store
//!  1  conf  net  shdict     do not know each other
//!  0  base                  clock, log, units, escape, regex, slot
//! ```

pub mod base;

pub mod conf;
pub mod net;
pub mod shdict;

pub mod process;
pub mod server;
pub mod store;
pub mod upstream;

pub mod health;
pub mod http;
pub mod stream;

pub mod face;
pub mod lua;

pub mod app;
pub mod cli;
