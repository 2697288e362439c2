//! The `healthchecks` record of an upstream, in Kong's ranges and in those of Tencent's gateway.
//!
//! ```text
//!  kong:  intervals 0…65535, limits 0…255, everything off by default
//!  tse:   intervals 0 or 2…300, limits 1…10, its own lists of statuses
//! ```

use serde_json::json;

use super::fields::{header_line, host_name, path};
use super::{Field, Kind};
use crate::face::kong::Preset;

/// The record with its defaults.
pub fn field(preset: Preset) -> Field {
    let passive = vec![
        Field::with("type", Kind::OneOf(TYPES), "http"),
        Field::record("healthy", healthy(preset, false)),
        Field::record("unhealthy", unhealthy(preset, false)),
    ];
    Field::record(
        "healthchecks",
        vec![
            Field::record("active", active(preset)),
            Field::record("passive", passive),
            Field::with("threshold", Kind::Number(0.0, 100.0), 0),
        ],
    )
}

fn active(preset: Preset) -> Vec<Field> {
    vec![
        Field::with("type", Kind::OneOf(TYPES), "http"),
        Field::with("timeout", Kind::Number(0.0, 65535.0), 1),
        Field::with("concurrency", Kind::Integer(1, 2_147_483_648), 10),
        Field::with("http_path", Kind::Text(path), "/"),
        Field::new("https_sni", Kind::Text(host_name)),
        Field::with("https_verify_certificate", Kind::Bool, true),
        Field::new("headers", Kind::Map(Box::new(Kind::Array(Box::new(Kind::Text(header_line)))))),
        Field::record("healthy", healthy(preset, true)),
        Field::record("unhealthy", unhealthy(preset, true)),
    ]
}

fn healthy(preset: Preset, active: bool) -> Vec<Field> {
    let statuses = match (preset, active) {
        (Preset::Tse, _) => json!(TSE_NORMAL),
        (Preset::Kong, true) => json!([200, 302]),
        (Preset::Kong, false) => json!([
            200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306,
            307, 308
        ]),
    };
    let mut fields = vec![
        Field::with("http_statuses", statuses_kind(), statuses),
        limit("successes", preset, active, 1),
    ];
    fields.extend(active.then(|| interval(preset)));
    fields
}

fn unhealthy(preset: Preset, active: bool) -> Vec<Field> {
    let statuses = match (preset, active) {
        (Preset::Tse, _) => json!([500, 502, 503, 504]),
        (Preset::Kong, true) => json!([429, 404, 500, 501, 502, 503, 504, 505]),
        (Preset::Kong, false) => json!([429, 500, 503]),
    };
    let mut fields = vec![
        Field::with("http_statuses", statuses_kind(), statuses),
        limit("http_failures", preset, active, 10),
        limit("tcp_failures", preset, active, 10),
        limit("timeouts", preset, active, 10),
    ];
    fields.extend(active.then(|| interval(preset)));
    fields
}

fn interval(preset: Preset) -> Field {
    let kind = match preset {
        Preset::Kong => Kind::Number(0.0, 65535.0),
        Preset::Tse => Kind::ZeroOrNumber(2.0, 300.0),
    };
    Field::with("interval", kind, 0)
}

/// A limit of a machine's lane. A passive limit of 0 is how passive checks are switched off.
fn limit(name: &'static str, preset: Preset, active: bool, tse: i64) -> Field {
    match (preset, active) {
        (Preset::Kong, _) => Field::with(name, Kind::Integer(0, 255), 0),
        // A refused connection need not count: the console speaks of statuses and timeouts.
        (Preset::Tse, true) if name == "tcp_failures" => {
            Field::with(name, Kind::ZeroOr(1, 10), tse)
        }
        (Preset::Tse, true) => Field::with(name, Kind::Integer(1, 10), tse),
        (Preset::Tse, false) => Field::with(name, Kind::ZeroOr(1, 10), 0),
    }
}

fn statuses_kind() -> Kind {
    Kind::Array(Box::new(Kind::Integer(100, 999)))
}

pub const TYPES: &[&str] = &["tcp", "http", "https", "grpc", "grpcs"];

/// What Tencent's gateway takes for a normal answer.
pub const TSE_NORMAL: &[u16] =
    &[200, 201, 202, 204, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 410, 411, 429, 499];
/// What it takes for an exception.
pub const TSE_EXCEPTION: &[u16] = &[500, 502, 503, 504];
