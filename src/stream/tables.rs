//! `map`, `geo` and `split_clients` of sessions.

use crate::conf::row::{Row, STREAM, args, raw_block, take};
use crate::server::{geo, map};

use super::session::Session;

pub const ROWS: &[Row] = &[
    raw_block("map", STREAM, take(2), map::set::<Session>),
    raw_block("geo", STREAM, args(1, 2), geo::set::<Session>),
    raw_block("split_clients", STREAM, take(2), map::set_split::<Session>),
];
