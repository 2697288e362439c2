//! `uwsgi_pass` and `uwsgi_*`.

use std::rc::Rc;

use crate::server::secure::secure_rows;
use crate::{
    base::log::Level,
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
            rows::{answer_rows, body_rows, peer_rows},
            secure::conf as secure,
            settings::Proxy,
        },
        request::Request,
    },
};

use super::{Params, each_param, set_param};

/// The settings of `uwsgi_*`.
#[derive(Default)]
pub struct Uwsgi {
    pub proxy: Proxy,
    params: Params,
    modifier1: Option<u64>,
    modifier2: Option<u64>,
}

impl Part for Uwsgi {
    fn inherit(&mut self, parent: &Self) {
        self.proxy.inherit(&parent.proxy);
        inherit!(self, parent: params, modifier1, modifier2);
    }
}

impl Settings for Uwsgi {
    fn settings(&mut self) -> &mut Proxy {
        &mut self.proxy
    }
}

pub const ROWS: &[Row] = &[
    row("uwsgi_pass", PASS_LEVELS, take(1), |b, d| set_pass::<Uwsgi>(b, d, Family::Uwsgi)),
    row("uwsgi_param", HTTP_LEVELS, args(2, 3), |b, d| {
        set_param(b, d, |b| &mut b.part::<Uwsgi>().params)
    }),
    row("uwsgi_modifier1", HTTP_LEVELS, take(1), |b, d| {
        d.number_slot(&mut b.part::<Uwsgi>().modifier1)?;
        crate::conf::in_bounds(b.part::<Uwsgi>().modifier1.unwrap_or(0), 0, Some(255)).map(drop)
    }),
    row("uwsgi_modifier2", HTTP_LEVELS, take(1), |b, d| {
        d.number_slot(&mut b.part::<Uwsgi>().modifier2)?;
        crate::conf::in_bounds(b.part::<Uwsgi>().modifier2.unwrap_or(0), 0, Some(255)).map(drop)
    }),
];

pub const PEER_ROWS: &[Row] = &peer_rows!("uwsgi", Uwsgi);
pub const ANSWER_ROWS: &[Row] = &answer_rows!("uwsgi", Uwsgi);
pub const BODY_ROWS: &[Row] = &body_rows!("uwsgi", Uwsgi);
pub const CACHE_ROWS: &[Row] = &cache_rows!("uwsgi", Uwsgi);
pub const SSL_ROWS: &[Row] = secure_rows!("uwsgi", HTTP_LEVELS, secure::<Uwsgi>);

/// What goes before the body: four bytes and the parameters, each with its lengths.
pub fn head(r: &Rc<Request>, conf: &Proxy, choices: &Choices) -> Result<Vec<u8>, u16> {
    let location = r.location();
    let own = location.scope.part::<Uwsgi>();
    let modifier = |value: Option<u64>| value.unwrap_or(0) as u8;
    let mut out = vec![modifier(own.modifier1), 0, 0, modifier(own.modifier2)];
    let mut fits = true;
    each_param(r, conf, &own.params, choices, |name, value| {
        for word in [name, value] {
            let length = u16::try_from(word.len());
            fits &= length.is_ok();
            out.extend_from_slice(&length.unwrap_or(0).to_le_bytes());
            out.extend_from_slice(word);
        }
    });
    let length = u16::try_from(out.len() - HEAD_BYTES);
    let Some(length) = length.ok().filter(|_| fits) else {
        let bytes = out.len() - HEAD_BYTES;
        r.log(Level::Alert, format_args!("uwsgi request is too big: {bytes}"));
        return Err(500);
    };
    out[1..3].copy_from_slice(&length.to_le_bytes());
    Ok(out)
}

const HEAD_BYTES: usize = 4;
