//! `scgi_pass` and `scgi_*`.

use std::rc::Rc;

use crate::{
    conf::{
        Part, inherit,
        row::{HTTP_LEVELS, Row, args, row, take},
    },
    http::{
        proxy::{
            cache::conf::cache_rows,
            conf::{PASS_LEVELS, set_pass},
            family::{Family, Settings},
            forward::Choices,
            outgoing::body_length,
            rows::{answer_rows, body_rows, peer_rows},
            settings::Proxy,
        },
        request::Request,
    },
};

use super::{Params, each_param, set_param};

/// The settings of `scgi_*`.
#[derive(Default)]
pub struct Scgi {
    pub proxy: Proxy,
    params: Params,
}

impl Part for Scgi {
    fn inherit(&mut self, parent: &Self) {
        self.proxy.inherit(&parent.proxy);
        inherit!(self, parent: params);
    }
}

impl Settings for Scgi {
    fn settings(&mut self) -> &mut Proxy {
        &mut self.proxy
    }
}

pub const ROWS: &[Row] = &[
    row("scgi_pass", PASS_LEVELS, take(1), |b, d| set_pass::<Scgi>(b, d, Family::Scgi)),
    row("scgi_param", HTTP_LEVELS, args(2, 3), |b, d| {
        set_param(b, d, |b| &mut b.part::<Scgi>().params)
    }),
];

pub const PEER_ROWS: &[Row] = &peer_rows!("scgi", Scgi);
pub const ANSWER_ROWS: &[Row] = &answer_rows!("scgi", Scgi);
pub const BODY_ROWS: &[Row] = &body_rows!("scgi", Scgi);
pub const CACHE_ROWS: &[Row] = &cache_rows!("scgi", Scgi);

/// What goes before the body: a netstring, its first entry the body's length.
pub fn head(r: &Rc<Request>, conf: &Proxy, choices: &Choices) -> Vec<u8> {
    let length = if conf.pass_request_body() { body_length(r).unwrap_or(0) } else { 0 };
    let mut params = format!("CONTENT_LENGTH\0{length}\0").into_bytes();
    let location = r.location();
    each_param(r, conf, &location.scope.part::<Scgi>().params, choices, |name, value| {
        params.extend_from_slice(name);
        params.push(0);
        params.extend_from_slice(value);
        params.push(0);
    });
    let mut out = format!("{}:", params.len()).into_bytes();
    out.append(&mut params);
    out.push(b',');
    out
}
