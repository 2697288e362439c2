//! One request on a connection: its frames out, the events of its response in.
//!
//! ```text
//!  block, Source ─▶ HEADERS, DATA ─▶ Peer.out        both directions at once
//!  Peer.buf ─▶ frames ─▶ Head │ Data … │ End(trailers)
//! ```

use std::{
    future::poll_fn,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    base::clock,
    http::proxy::{
        exchange::{Limits, Reply},
        fault::{During, End, Fault},
        link::Link,
        source::Source,
    },
    net::{
        http1::ResponseHead,
        http2::{
            self,
            frame::{self, Head, flag, kind, setting},
            hpack::{Field, HpackError, Limits as ListLimits},
        },
    },
};

use super::{head, peer::Peer};

/// A request under way.
pub struct Call {
    id: u32,
    window: i64,
    recv_window: i64,
    source: Source,
    request_ended: bool,
    response_ended: bool,
    /// The head of the response has come; what follows is body.
    headed: bool,
    /// Bytes of the body that the head announced and that are still to come.
    left: Option<u64>,
    block: Option<Block>,
    is_head: bool,
    pub received: u64,
    list_bytes: usize,
}

struct Block {
    text: BytesMut,
    end: bool,
}

/// What a response brings.
pub enum Event {
    /// Bytes went one way or the other.
    Progress,
    Head(ResponseHead),
    Data(Bytes),
    /// The response is complete.
    End(Vec<(Bytes, Bytes)>),
}

type Outcome<T> = Result<T, Fault>;

/// Sends a request and waits for the head of its response. The link is lost with an error.
pub async fn run(
    mut link: Link,
    block: &[u8],
    source: Source,
    is_head: bool,
    limits: Limits,
) -> Result<Box<Reply>, End> {
    let mut call = Box::new(Call::begin(&mut link, block, source, is_head));
    call.list_bytes = limits.head_bytes;
    loop {
        if let Event::Head(head) = call.next(&mut link, &limits).await? {
            return Ok(Box::new(Reply {
                link,
                head: head.into(),
                headless: false,
                rest: BytesMut::new(),
                received: call.received,
                unsent: false,
                ignored: Vec::new(),
                call: Some(call),
                records: None,
                tail: None,
            }));
        }
    }
}

impl Call {
    /// Puts the head of a request on its way.
    pub fn begin(link: &mut Link, block: &[u8], source: Source, is_head: bool) -> Self {
        let (_, peer, _) = link.http2();
        let id = peer.take_id();
        let ended = source.is_ended();
        frame::put_headers(&mut peer.out, id, block, ended, peer.frame_bytes);
        Self {
            id,
            window: peer.initial_window,
            recv_window: http2::MAX_WINDOW,
            source,
            request_ended: ended,
            response_ended: false,
            headed: false,
            left: None,
            block: None,
            is_head,
            received: 0,
            list_bytes: 0,
        }
    }

    /// Whether the connection can carry another request.
    pub fn is_over(&self, link: &mut Link) -> bool {
        let (stream, peer, sent) = link.http2();
        // Answers to what came last; if they do not fit now, the connection is not worth waiting.
        let _ = peer.poll_send(stream, sent, &mut Context::from_waker(Waker::noop()));
        self.request_ended && self.response_ended && peer.is_clean()
    }

    /// The head was all of the response.
    pub fn is_bodiless(&self) -> bool {
        self.response_ended
    }

    /// Waits for the next event, `Progress` left out.
    pub async fn next(&mut self, link: &mut Link, limits: &Limits) -> Result<Event, End> {
        loop {
            let sending = !link.http2().1.out.is_empty();
            let limit = match (sending, self.request_ended || self.headed) {
                (true, _) => limits.send,
                (false, true) => limits.read,
                // It is the client's turn, and that has a time limit of its own.
                (false, false) if matches!(self.source, Source::Client(_)) => NEVER,
                (false, false) => limits.send,
            };
            let event = tokio::time::timeout(limit, poll_fn(|cx| self.poll(link, cx))).await;
            clock::update();
            match event {
                Err(_) => {
                    let during = match (sending, self.headed) {
                        (true, _) => During::Sending,
                        (false, false) => During::ReadingHead,
                        (false, true) => During::ReadingBody,
                    };
                    return Err(End::Try(Fault::Timeout(during)));
                }
                Ok(Ok(Event::Progress)) => {}
                Ok(other) => return other,
            }
        }
    }

    fn poll(&mut self, link: &mut Link, cx: &mut Context<'_>) -> Poll<Result<Event, End>> {
        let (stream, peer, sent) = link.http2();
        if self.response_ended {
            return Poll::Ready(Ok(Event::End(Vec::new())));
        }
        while let Some(event) = self.step(peer).map_err(End::Try)? {
            if !matches!(event, Event::Progress) {
                return Poll::Ready(Ok(event));
            }
        }
        self.poll_body(peer, cx)?;
        let before = *sent;
        if let Poll::Ready(Err(error)) = peer.poll_send(stream, sent, cx)
            && peer.buf.is_empty()
        {
            // An answer may still be there to read.
            return match peer.poll_recv(stream, cx) {
                Poll::Ready(Ok(1..)) => Poll::Ready(Ok(Event::Progress)),
                _ => Poll::Ready(Err(End::Try(Fault::Send(error)))),
            };
        }
        if *sent > before {
            return Poll::Ready(Ok(Event::Progress));
        }
        peer.poll_recv(stream, cx).map(|read| match read {
            Ok(0) => Err(End::Try(Fault::Closed)),
            Ok(count) => {
                self.received += count as u64;
                Ok(Event::Progress)
            }
            Err(error) => Err(End::Try(Fault::Recv(error))),
        })
    }

    /// Frames as much of the body as the windows and a small buffer allow.
    fn poll_body(&mut self, peer: &mut Peer, cx: &mut Context<'_>) -> Result<(), End> {
        while !self.request_ended && peer.out.len() < OUT_BYTES_MAX {
            let window = self.window.min(peer.window);
            if window <= 0 {
                return Ok(());
            }
            let most = peer.frame_bytes.min(window as usize);
            let Poll::Ready(piece) = self.source.poll_next(cx, most) else { return Ok(()) };
            self.put_piece(peer, piece?);
        }
        Ok(())
    }

    /// A piece may be larger than a frame or the window; what does not fit goes back.
    fn put_piece(&mut self, peer: &mut Peer, mut piece: Bytes) {
        loop {
            let window = self.window.min(peer.window).max(0) as usize;
            let size = piece.len().min(peer.frame_bytes).min(window);
            if size == 0 && !piece.is_empty() {
                let rest = std::mem::replace(&mut self.source, Source::Nothing);
                self.source = Source::Rest(piece, Box::new(rest));
                return;
            }
            let data = piece.split_to(size);
            let end = piece.is_empty() && self.source.is_ended();
            if !data.is_empty() || end {
                frame::put_data_head(&mut peer.out, self.id, size, end);
                peer.out.extend_from_slice(&data);
            }
            self.window -= size as i64;
            peer.window -= size as i64;
            self.request_ended = end;
            if piece.is_empty() {
                return;
            }
        }
    }

    /// Handles one frame of the buffer; `None` when it is not all there.
    fn step(&mut self, peer: &mut Peer) -> Outcome<Option<Event>> {
        let Some(head) = Head::parse(&peer.buf) else { return Ok(None) };
        if head.length > http2::DEFAULT_FRAME_BYTES {
            return wrong(format!("upstream sent too large http2 frame: {}", head.length));
        }
        if head.stream != 0 && head.stream != self.id {
            // What is left of an earlier request on this connection.
            let stale = head.stream < self.id && head.kind != kind::HEADERS;
            if !stale {
                return wrong(format!("upstream sent frame for unknown stream {}", head.stream));
            }
        }
        if peer.buf.len() < frame::HEAD_BYTES + head.length {
            return Ok(None);
        }
        peer.buf.advance(frame::HEAD_BYTES);
        let payload = peer.buf.split_to(head.length).freeze();
        if self.block.is_some() && head.kind != kind::CONTINUATION {
            return wrong(format!("upstream sent unexpected http2 frame: {}", head.kind));
        }
        if head.stream != 0 && head.stream != self.id {
            return Ok(Some(Event::Progress));
        }
        self.frame(peer, &head, payload).map(Some)
    }

    fn frame(&mut self, peer: &mut Peer, head: &Head, payload: Bytes) -> Outcome<Event> {
        match head.kind {
            kind::DATA => return self.data(peer, head, payload),
            kind::HEADERS => {
                let Some((text, _)) = frame::header_block(head, &payload) else {
                    return wrong("upstream sent invalid http2 header frame");
                };
                if head.stream == 0 {
                    return wrong("upstream sent frame for unknown stream 0");
                }
                let end = head.has(flag::END_STREAM);
                if self.headed && !end {
                    return wrong("upstream sent trailer without end stream flag");
                }
                self.block = Some(Block { text: text.into(), end });
                return self.fragment(peer, head);
            }
            kind::CONTINUATION => {
                let Some(block) = &mut self.block else {
                    return wrong("upstream sent unexpected continuation frame");
                };
                block.text.extend_from_slice(&payload);
                if block.text.len() > self.list_bytes + BLOCK_SLACK_BYTES {
                    return wrong("upstream sent too large http2 header");
                }
                return self.fragment(peer, head);
            }
            kind::RST_STREAM => return self.rst_stream(head, &payload),
            kind::SETTINGS => self.settings(peer, head, &payload)?,
            kind::PUSH_PROMISE => return wrong("upstream sent unexpected push promise frame"),
            kind::PING => {
                if head.length != 8 || head.stream != 0 {
                    return wrong("upstream sent invalid ping frame");
                }
                if !head.has(flag::ACK) {
                    asked(peer, "ping")?;
                    frame::put_ping_ack(&mut peer.out, &payload);
                }
            }
            kind::GOAWAY => self.goaway(peer, head, &payload)?,
            kind::WINDOW_UPDATE => self.window_update(peer, head, &payload)?,
            _ => {}
        }
        Ok(Event::Progress)
    }

    fn fragment(&mut self, peer: &mut Peer, head: &Head) -> Outcome<Event> {
        if !head.has(flag::END_HEADERS) {
            return Ok(Event::Progress);
        }
        let Some(block) = self.block.take() else { return Ok(Event::Progress) };
        let mut fields: Vec<Field> = Vec::new();
        let limits = ListLimits { field_bytes: self.list_bytes, list_bytes: self.list_bytes };
        let decoded = peer.decoder.decode(&block.text, limits, &mut |field| fields.push(field));
        decoded.map_err(|error| match error {
            HpackError::TooLarge => Fault::Invalid("upstream sent too big header".into()),
            _ => Fault::Invalid(format!("upstream sent {error}")),
        })?;
        if self.headed {
            return self.end(head::trailers(&fields)?);
        }
        let head = head::build(&fields)?;
        if (100..200).contains(&head.status) && !block.end {
            // Interim answers are passed over.
            return Ok(Event::Progress);
        }
        self.headed = true;
        if !self.is_head && !matches!(head.status, 204 | 304) {
            self.left = head.content_length();
        }
        if block.end {
            self.check_length()?;
            self.response_ended = true;
        }
        Ok(Event::Head(head))
    }

    fn data(&mut self, peer: &mut Peer, head: &Head, payload: Bytes) -> Outcome<Event> {
        if head.stream == 0 {
            return wrong("upstream sent frame for unknown stream 0");
        }
        if !self.headed {
            return wrong("upstream sent unexpected http2 frame: 0");
        }
        let size = head.length as i64;
        if size > self.recv_window || size > peer.recv_window {
            let window = self.recv_window.min(peer.recv_window);
            return wrong(format!(
                "upstream violated stream flow control, received {size} data frame with window \
                 {window}"
            ));
        }
        self.recv_window -= size;
        peer.recv_window -= size;
        self.open_windows(peer);
        let data = match head.has(flag::PADDED) {
            false => payload,
            true => {
                let padding = payload.first().map_or(usize::MAX, |first| usize::from(*first));
                let Some(end) = payload.len().checked_sub(padding).filter(|end| *end > 0) else {
                    return wrong("upstream sent http2 frame with too long padding");
                };
                payload.slice(1..end)
            }
        };
        if let Some(left) = &mut self.left {
            let Some(rest) = left.checked_sub(data.len() as u64) else {
                let text = "upstream sent response body larger than indicated content length";
                return wrong(text);
            };
            *left = rest;
        }
        if head.has(flag::END_STREAM) {
            self.check_length()?;
            self.response_ended = true;
        }
        Ok(Event::Data(data))
    }

    fn open_windows(&mut self, peer: &mut Peer) {
        if self.recv_window < http2::MAX_WINDOW / 4 {
            let more = http2::MAX_WINDOW - self.recv_window;
            frame::put_window_update(&mut peer.out, self.id, more as u32);
            self.recv_window = http2::MAX_WINDOW;
        }
        if peer.recv_window < http2::MAX_WINDOW / 4 {
            let more = http2::MAX_WINDOW - peer.recv_window;
            frame::put_window_update(&mut peer.out, 0, more as u32);
            peer.recv_window = http2::MAX_WINDOW;
        }
    }

    fn end(&mut self, trailers: Vec<(Bytes, Bytes)>) -> Outcome<Event> {
        self.check_length()?;
        self.response_ended = true;
        Ok(Event::End(trailers))
    }

    /// Everything the head announced has to be there at the end.
    fn check_length(&self) -> Outcome<()> {
        match self.left {
            Some(1..) => wrong("upstream prematurely closed stream"),
            _ => Ok(()),
        }
    }

    fn rst_stream(&mut self, head: &Head, payload: &Bytes) -> Outcome<Event> {
        if head.length != 4 || head.stream == 0 {
            return wrong("upstream sent invalid http2 rst stream frame");
        }
        match payload.clone().get_u32() {
            // The response is complete; the upstream does not want the rest of the request.
            0 if self.response_ended => {
                self.request_ended = true;
                Ok(Event::Progress)
            }
            code => wrong(format!("upstream rejected request with error {code}")),
        }
    }

    fn settings(&mut self, peer: &mut Peer, head: &Head, payload: &Bytes) -> Outcome<()> {
        if head.stream != 0 || !head.length.is_multiple_of(6) {
            return wrong(format!(
                "upstream sent settings frame with invalid length: {}",
                head.length
            ));
        }
        if head.has(flag::ACK) {
            return Ok(());
        }
        for (name, value) in frame::settings(payload) {
            match name {
                setting::INITIAL_WINDOW if i64::from(value) > http2::MAX_WINDOW => {
                    return wrong(format!(
                        "upstream sent settings frame with too large initial window size: {value}"
                    ));
                }
                setting::INITIAL_WINDOW => {
                    self.window += i64::from(value) - peer.initial_window;
                    peer.initial_window = i64::from(value);
                    if self.window > http2::MAX_WINDOW {
                        return wrong("upstream sent settings frame with too large window");
                    }
                }
                _ => {}
            }
        }
        asked(peer, "settings")?;
        frame::put_settings_ack(&mut peer.out);
        Ok(())
    }

    fn goaway(&self, peer: &mut Peer, head: &Head, payload: &Bytes) -> Outcome<()> {
        if head.stream != 0 || head.length < 8 {
            return wrong("upstream sent invalid goaway frame");
        }
        let mut payload = payload.clone();
        let last = payload.get_u32() & 0x7fff_ffff;
        let code = payload.get_u32();
        peer.goaway = true;
        match last < self.id {
            true => wrong(format!("upstream sent goaway with error {code}")),
            false => Ok(()),
        }
    }

    fn window_update(&mut self, peer: &mut Peer, head: &Head, payload: &Bytes) -> Outcome<()> {
        if head.length != 4 {
            let length = head.length;
            return wrong(format!(
                "upstream sent window update frame with invalid length: {length}"
            ));
        }
        let more = i64::from(payload.clone().get_u32() & 0x7fff_ffff);
        let window = if head.stream == 0 { &mut peer.window } else { &mut self.window };
        *window += more;
        match *window > http2::MAX_WINDOW {
            true => wrong("upstream sent too large window update"),
            false => Ok(()),
        }
    }
}

/// Counts frames that want an answer.
fn asked(peer: &mut Peer, what: &str) -> Outcome<()> {
    peer.asked += 1;
    match peer.asked > ASKED_MAX {
        true => wrong(format!("upstream sent too many {what} frames")),
        false => Ok(()),
    }
}

fn wrong<T>(text: impl Into<String>) -> Outcome<T> {
    Err(Fault::Invalid(text.into()))
}

/// nginx's limit of frames that want an answer, within one request.
const ASKED_MAX: u32 = 1000;
/// What compression may add to a list.
const BLOCK_SLACK_BYTES: usize = 1024;
const OUT_BYTES_MAX: usize = 64 * 1024;
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
