//! What a location's settings mean where nobody asks: for probes that go the way of its requests.
//!
//! ```text
//!  proxy_pass https://foo  proxy_ssl_*  proxy_set_header  proxy_*_timeout  ─▶ upstream::Way
//! ```

use bstr::{BString, ByteSlice};
use bytes::Bytes;

use super::{
    family::Family,
    outgoing,
    secure::SecureConf,
    settings::{Fixed, Pass, Proxy, Version},
};
use crate::server::secure;
use crate::{
    http::{
        build::HttpConf,
        location::{Location, Server},
        template::Template,
    },
    upstream::{Protocol, Secure, Way},
};

/// Where a location passes requests to and how; nothing when it passes none, or when only each
/// request tells whereto.
pub fn way_of(http: &HttpConf, server: &Server, location: &Location) -> Option<Way> {
    let family = Family::ALL.into_iter().find(|family| {
        // What a location inherits is not its own target: its handler tells.
        let handler = super::handler(*family);
        let own = location.content_handler.is_some_and(|own| std::ptr::addr_eq(own, handler));
        own && family.conf(&location.scope).pass.is_some()
    })?;
    let conf = family.conf(&location.scope);
    let Some(Pass::Fixed(fixed)) = &conf.pass else { return None };
    let eval = |template: &Template| unasked(http, server, fixed, template);
    let limits = [conf.connect_timeout_ms, conf.send_timeout_ms, conf.read_timeout_ms];
    Some(Way {
        group: fixed.group.clone(),
        protocol: protocol(family, conf),
        host: fixed.origin.host.to_vec().into(),
        lines: lines(conf, eval),
        timeout_ms: limits.into_iter().flatten().max(),
        secure: fixed.origin.tls.then(|| secure(family, &conf.secure, fixed, eval)).flatten(),
    })
}

fn protocol(family: Family, conf: &Proxy) -> Protocol {
    match (family, conf.version()) {
        (Family::Grpc, _) => Protocol::Grpc,
        (Family::Http, Version::Http10) => Protocol::Http10,
        (Family::Http, Version::Http11) => Protocol::Http11,
        (Family::Http, Version::Http2) => Protocol::Http2,
        (family, _) => Protocol::Other(family.name()),
    }
}

/// The lines of `proxy_set_header`; as in requests, empty ones are not sent.
fn lines(conf: &Proxy, eval: impl Fn(&Template) -> Bytes) -> Vec<(BString, BString)> {
    let set = conf.set_headers.as_ref().map_or(&[][..], |set| set);
    let about_peer = |name: &Bytes| name.eq_ignore_ascii_case(b"Host") || !outgoing::is_own(name);
    let lines = set.iter().filter(|(name, _)| about_peer(name)).map(|(name, value)| {
        let text = |bytes: &Bytes| BString::from(bytes.to_vec());
        (text(name), text(&eval(value)))
    });
    lines.filter(|(_, value)| !value.is_empty()).collect()
}

fn secure(
    family: Family,
    conf: &SecureConf,
    fixed: &Fixed,
    eval: impl Fn(&Template) -> Bytes,
) -> Option<Secure> {
    let name = match &conf.name {
        Some(name) => eval(name),
        None => Bytes::copy_from_slice(fixed.group.host()),
    };
    Some(Secure {
        // What is wrong with it was told when the location's own files were read.
        spec: conf.spec(family.name()).ok()?,
        name: secure::without_port(name).to_vec().into(),
        is_named: conf.name.is_some(),
        says_name: conf.server_name.unwrap_or(false),
        verifies: conf.verify.unwrap_or(false),
    })
}

/// nginx sends its probes from the location with "most of the variables" empty; these are not.
fn unasked(http: &HttpConf, server: &Server, fixed: &Fixed, template: &Template) -> Bytes {
    template.eval_unasked(|at| match http.vars.name(at).as_bytes() {
        b"proxy_host" => fixed.origin.host.clone(),
        b"proxy_port" => fixed.origin.port.clone(),
        b"host" | b"server_name" => server.name_text(),
        _ => Bytes::new(),
    })
}
