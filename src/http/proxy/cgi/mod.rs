//! `fastcgi_pass`, `scgi_pass`, `uwsgi_pass`: requests as sets of parameters, answers as those of
//! CGI scripts.
//!
//! ```text
//!  *_param + the client's headers (HTTP_*) ─▶ fastcgi: records │ scgi: netstring │ uwsgi: vars
//!  answer: headers with Status, or a status line ─▶ net::http1::response
//! ```

pub mod fastcgi;
pub mod records;
pub mod scgi;
pub mod uwsgi;

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;

use crate::{
    conf::{Builder, Diag, Directive},
    http::{headers::Headers, request::Request, template::Template},
};

use super::{forward::Choices, outgoing::is_conditional, settings::Proxy};

/// The parameters of a block.
pub type Params = Option<Arc<Vec<Param>>>;

/// A `*_param` line.
pub struct Param {
    name: Bytes,
    value: Template,
    if_not_empty: bool,
}

/// `name value [if_not_empty]`
fn set_param(
    b: &mut Builder<'_>,
    d: &Directive,
    slot: for<'a> fn(&'a mut Builder<'_>) -> &'a mut Params,
) -> Result<(), Diag> {
    let if_not_empty = d.arg_count() == 3;
    if if_not_empty && d.arg(3) != "if_not_empty" {
        return Err(d.bad_param(3));
    }
    let value = Template::compile(b, d.arg(2))?;
    let name = Bytes::copy_from_slice(d.arg(1));
    let list = slot(b).get_or_insert_with(Arc::default);
    if let Some(list) = Arc::get_mut(list) {
        list.push(Param { name, value, if_not_empty });
    }
    Ok(())
}

/// All parameters of a request, in nginx's order: those configured, then the client's headers.
fn each_param(
    r: &Rc<Request>,
    conf: &Proxy,
    params: &Params,
    choices: &Choices,
    mut put: impl FnMut(&[u8], &[u8]),
) {
    let params = params.as_ref().map_or(&[][..], |list| list);
    for param in params {
        let value = param.value.eval(r);
        if !value.is_empty() || !param.if_not_empty {
            put(&param.name, &value);
        }
    }
    let cached = choices.conditional.as_ref();
    if let Some(own) = cached {
        let lines = [
            (&b"HTTP_IF_MODIFIED_SINCE"[..], &own.modified_since),
            (&b"HTTP_IF_NONE_MATCH"[..], &own.none_match),
        ];
        for (name, value) in lines {
            put(name, value.as_ref().map_or(b"", |value| value));
        }
    }
    if !conf.pass_request_headers() {
        return;
    }
    let headers = r.headers_in.borrow();
    for (at, line) in headers.iter().enumerate() {
        let repeated = headers.iter().take(at).any(|l| l.name.eq_ignore_ascii_case(&line.name));
        let name = param_name(&line.name);
        let is_set = params.iter().any(|param| param.name.eq_ignore_ascii_case(&name));
        if repeated || is_set || cached.is_some() && is_conditional(&line.name) {
            continue;
        }
        put(&name, &joined(&headers, &line.name));
    }
}

/// The values of all lines of a name.
fn joined(headers: &Headers, name: &[u8]) -> Bytes {
    let separator: &[u8] = if name.eq_ignore_ascii_case(b"Cookie") { b"; " } else { b", " };
    headers.joined(name, separator).unwrap_or_default()
}

/// `X-Name` as `HTTP_X_NAME`.
fn param_name(header: &[u8]) -> Vec<u8> {
    let mut name = b"HTTP_".to_vec();
    name.extend(header.iter().map(|byte| match byte {
        b'-' => b'_',
        byte => byte.to_ascii_uppercase(),
    }));
    name
}
