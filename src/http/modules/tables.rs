//! `map`, `geo` and `split_clients` of requests.

use crate::conf::row::{HTTP, Row, args, raw_block, take};
use crate::http::request::Request;
use crate::server::{geo, map};

pub const ROWS: &[Row] = &[
    raw_block("map", HTTP, take(2), map::set::<Request>),
    raw_block("geo", HTTP, args(1, 2), geo::set::<Request>),
    raw_block("split_clients", HTTP, take(2), map::set_split::<Request>),
];
