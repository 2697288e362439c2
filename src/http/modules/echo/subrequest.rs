//! `echo_location` and `echo_subrequest`: requests to other locations, spoken into the response.

use std::rc::Rc;

use bstr::{BStr, ByteSlice};
use bytes::Bytes;

use crate::{
    base::log::Level,
    http::{
        body::Body,
        method::Method,
        output::Chunk,
        phase::Flow,
        redirect,
        request::{Request, SubrequestSpec},
        subrequest,
        vars::VarSlots,
    },
};

use super::Progress;

/// `echo_location uri [args]`
pub fn location(r: &Rc<Request>, name: &str, args: &[Bytes]) -> Result<Rc<Request>, Flow> {
    let target = args.first().cloned().unwrap_or_default();
    start(r, name, &target, args.get(1).cloned(), |_| {})
}

/// `echo_subrequest METHOD uri -q args -b body -f file`
pub fn custom(r: &Rc<Request>, name: &str, args: &[Bytes]) -> Result<Rc<Request>, Flow> {
    let [method, target, options @ ..] = args else { return Err(Flow::Close) };
    let (mut query, mut body, mut file) = (None, None, None);
    for pair in options.chunks(2) {
        let value = pair.get(1).cloned();
        match pair[0].as_ref() {
            b"-q" => query = value,
            b"-b" => body = value,
            b"-f" => file = value,
            other => {
                let other = BStr::new(other);
                r.log(Level::Error, format_args!("unknown option for echo_subrequest*: {other}"));
                return Err(Flow::Close);
            }
        }
    }
    let body = match (body.filter(|body| !body.is_empty()), file.filter(|file| !file.is_empty())) {
        (Some(body), _) => Some(body),
        (None, Some(file)) => Some(read_file(r, &file)?),
        (None, None) => None,
    };
    let method = Method::parse(method.clone());
    start(r, name, target, query, |spec| {
        spec.method = method;
        if let Some(body) = body {
            spec.headers.remove(b"Content-Length");
            spec.headers.add(&b"Content-Length"[..], body.len().to_string());
            spec.body = Body::ready(body);
        }
    })
}

fn start(
    r: &Rc<Request>,
    directive: &str,
    target: &Bytes,
    query: Option<Bytes>,
    shape: impl FnOnce(&mut SubrequestSpec),
) -> Result<Rc<Request>, Flow> {
    let Some((uri, own_query)) = redirect::parse_given(target) else {
        let target = BStr::new(target);
        r.log(Level::Debug, format_args!("{directive} sees unsafe uri: \"{target}\""));
        return Err(Flow::Close);
    };
    let query = query.or(own_query);
    if !super::send_head(r)? {
        return Err(Flow::Done);
    }
    if !r.ext::<Progress>().before_sent.get() {
        // `echo_before_body` speaks before the subrequest does.
        r.output(Chunk::default()).map_err(|error| error.flow())?;
    }
    let mut spec = SubrequestSpec {
        method: Method::get(),
        uri,
        args: query.unwrap_or_default(),
        headers: r.headers_in.borrow().clone(),
        body: Body::shared(&r.body),
        vars: Rc::new(VarSlots::new(r.http().vars.slots())),
        capture: None,
    };
    shape(&mut spec);
    let head = spec.method.is(Method::HEAD);
    let sub = subrequest::begin(r, spec).ok_or(Flow::Close)?;
    sub.header_only.set(head);
    Ok(sub)
}

fn read_file(r: &Rc<Request>, name: &[u8]) -> Result<Bytes, Flow> {
    let path = r.http().prefix.join(name.to_path().map_err(|_| Flow::Close)?);
    std::fs::read(&path).map(Bytes::from).map_err(|error| {
        let errno = crate::base::errno::Errno(&error);
        r.log(Level::Error, format_args!("open() \"{}\" failed {errno}", path.display()));
        Flow::Close
    })
}
