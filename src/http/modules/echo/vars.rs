//! `$echo_*`.

use std::rc::Rc;

use bytes::Bytes;

use crate::{
    base::clock,
    http::{
        request::Request,
        vars::{VarRow, var, var_live},
    },
};

use super::Progress;

pub const VARS: &[VarRow] = &[
    var_live("echo_timer_elapsed", |r, _| {
        let begun = r.ext::<Progress>().timer.get().unwrap_or(r.started);
        let ms = (clock::fresh_wall().as_ms() - begun.as_ms()).max(0);
        Some(format!("{}.{:03}", ms / 1000, ms % 1000).into())
    }),
    var("echo_request_method", |r, _| Some(r.method.borrow().name.clone())),
    var("echo_client_request_method", |r, _| Some(r.main().method.borrow().name.clone())),
    var("echo_request_body", |r, _| {
        let here = r.body.is_read() && r.body.file().is_none();
        Some(r.body.data()).filter(|body| here && !body.is_empty())
    }),
    var("echo_client_request_headers", |r, _| Some(r.main().line.raw_head.clone())),
    var("echo_cacheable_request_uri", uri),
    var_live("echo_request_uri", uri),
    var_live("echo_incr", |r, _| {
        let progress = r.main().ext::<Progress>();
        progress.count.set(progress.count.get() + 1);
        Some(progress.count.get().to_string().into())
    }),
    var_live("echo_response_status", |r, _| {
        let status = r.headers_out.borrow().status;
        (status != 0).then(|| status.to_string().into())
    }),
    var_live("echo_it", |r, _| {
        let progress = r.ext::<Progress>();
        let each = progress.each.borrow();
        let each = each.as_ref()?;
        each.choices.get(each.at).cloned()
    }),
];

fn uri(r: &Rc<Request>, _: &[u8]) -> Option<Bytes> {
    Some(r.uri.borrow().clone()).filter(|uri| !uri.is_empty())
}
