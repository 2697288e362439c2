//! The body of an HTTP/2 response, to the client's filters; then its trailers.

use bytes::{Bytes, BytesMut};

use crate::http::proxy::{
    exchange::Reply,
    fault::{End, Fault},
    passage::Passage,
    relay::output,
};

use super::call::Event;

/// Passes the body on. True when the connection can carry another request.
pub async fn run(p: &mut Passage<'_>, reply: &mut Reply, at_once: bool) -> Result<bool, End> {
    let Some(mut call) = reply.call.take() else { return Err(End::Try(Fault::Closed)) };
    let limits = p.limits();
    let least = if at_once { 1 } else { p.conf().buffer_size() };
    let mut gathered = BytesMut::new();
    let mut length = 0;
    loop {
        let event = p.guard(call.next(&mut reply.link, &limits)).await;
        let ended = match event {
            Ok(Ok(Event::Data(data))) => {
                length += data.len() as u64;
                gathered.extend_from_slice(&data);
                None
            }
            Ok(Ok(Event::End(trailers))) => Some(Ok(trailers)),
            Ok(Ok(_)) => None,
            Ok(Err(end)) | Err(end) => Some(Err(end)),
        };
        p.r.upstream_note(|attempt, _| {
            attempt.response_length = length;
            attempt.bytes_received = call.received;
            attempt.bytes_sent = reply.link.sent;
        });
        if gathered.len() >= least || ended.is_some() && !gathered.is_empty() {
            // What came before a break still goes to the client.
            output(p, gathered.split().freeze(), at_once).await?;
        }
        match ended {
            None => {}
            Some(Ok(trailers)) => {
                pass_trailers(p, trailers);
                return Ok(call.is_over(&mut reply.link));
            }
            Some(Err(end)) => {
                if let End::Try(fault) = &end
                    && let Some((level, text)) = fault.message()
                {
                    p.r.log(level, format_args!("{text}"));
                }
                return Err(end);
            }
        }
    }
}

fn pass_trailers(p: &Passage<'_>, trailers: Vec<(Bytes, Bytes)>) {
    if p.passes_trailers() {
        let mut out = p.r.headers_out.borrow_mut();
        for (name, value) in &trailers {
            out.trailers.add(name.clone(), value.clone());
        }
    }
    p.r.upstream.borrow_mut().trailers = trailers;
}
