//! Who may: the key of a request and the role it opens.
//!
//! ```text
//!  ?api_key=K │ X-API-KEY: K │ Cookie: x_api_key=K ─▶ admin: everything, viewer: GET
//! ```

use std::rc::Rc;

use serde_json::json;

use super::{Answer, Version};
use crate::face::apisix::conf::AdminConf;
use crate::http::Request;

pub fn check(r: &Rc<Request>, conf: &AdminConf) -> Result<(), Answer> {
    let Some(key) = presented(r) else { return Err(refused(conf, "missing apikey")) };
    if conf.admin_keys.iter().fold(false, |opened, k| k.opens(&key) | opened) {
        return Ok(());
    }
    if conf.viewer_keys.iter().fold(false, |opened, k| k.opens(&key) | opened) {
        return match &*r.method.borrow().name {
            b"GET" => Ok(()),
            _ => Err(refused(conf, "invalid method for role viewer")),
        };
    }
    Err(refused(conf, "wrong apikey"))
}

fn presented(r: &Rc<Request>) -> Option<bytes::Bytes> {
    let filled = |name: &[u8]| r.var_by_name(name).filter(|value| !value.is_empty());
    filled(b"arg_api_key")
        .or_else(|| filled(b"http_x_api_key"))
        .or_else(|| filled(b"cookie_x_api_key"))
}

fn refused(conf: &AdminConf, why: &str) -> Answer {
    let text = "failed to check token";
    match conf.version {
        Version::V3 => Answer::new(401, json!({ "error_msg": text, "description": why })),
        Version::V2 => Answer::new(401, json!({ "error_msg": text })),
    }
}
