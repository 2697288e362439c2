//! What each kind of frame does to a session.
//!
//! ```text
//!  head ─ admit ─▶ whole payload ─▶ headers │ settings │ ping │ window_update │ …
//!            └───▶ DATA: piece by piece, as it arrives
//! ```

use std::{cell::Cell, rc::Rc};

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    base::log::Level,
    http::conn::Conn,
    net::http2::{
        self, Code,
        frame::{self, Head, flag, kind, setting},
        hpack::{HpackError, Limits},
    },
};

use super::{
    draft::Draft,
    session::{Block, Fatal, Incoming, Outcome, Purpose, Session},
    stream::Stream,
};

impl Session<'_> {
    /// Handles the next frame; false when it is not all there.
    pub(super) fn step(&mut self) -> Result<bool, Fatal> {
        if self.data.is_some() {
            return Ok(self.take_data());
        }
        let conn = self.link.conn.clone();
        let Some(head) = conn.with_read(|read| Head::parse(read)) else { return Ok(false) };
        self.admit(&head)?;
        if head.kind == kind::DATA || head.kind > kind::CONTINUATION {
            return self.begin_data(&head);
        }
        let whole = frame::HEAD_BYTES + head.length;
        if conn.with_read(|read| read.len()) < whole {
            return Ok(false);
        }
        let payload = conn.with_read(|read| read.split_to(whole)).freeze();
        self.frame(head, payload.slice(frame::HEAD_BYTES..))?;
        Ok(true)
    }

    /// What the head of a frame alone tells to be wrong.
    fn admit(&self, head: &Head) -> Outcome {
        let most = match head.kind {
            kind::HEADERS | kind::CONTINUATION => self.limits().list_bytes + HEADERS_SLACK_BYTES,
            kind::DATA => http2::MAX_FRAME_BYTES,
            10.. => http2::MAX_FRAME_BYTES,
            _ => http2::DEFAULT_FRAME_BYTES,
        };
        if head.kind == kind::PUSH_PROMISE {
            return fatal(Code::Protocol, "client sent PUSH_PROMISE frame");
        }
        if head.length > most {
            let code = match head.kind {
                kind::HEADERS | kind::CONTINUATION => Code::EnhanceYourCalm,
                _ => Code::FrameSize,
            };
            return fatal(code, "client sent too large http2 frame");
        }
        match &self.block {
            Some(block) if block.text.is_empty() && block.purpose == Purpose::Discard => Ok(()),
            Some(block) if head.kind != kind::CONTINUATION || head.stream != block.stream => fatal(
                Code::Protocol,
                "client sent inappropriate frame while CONTINUATION was expected",
            ),
            None if head.kind == kind::CONTINUATION => {
                fatal(Code::Protocol, "client sent unexpected CONTINUATION frame")
            }
            _ => Ok(()),
        }
    }

    fn limits(&self) -> Limits {
        let (count, size) = self.host.large_client_header_buffers;
        Limits { field_bytes: size, list_bytes: size.saturating_mul(count) }
    }

    fn frame(&mut self, head: Head, payload: Bytes) -> Outcome {
        match head.kind {
            kind::HEADERS => self.headers(&head, &payload),
            kind::CONTINUATION => self.continuation(&head, &payload),
            kind::PRIORITY => self.priority(&head, &payload),
            kind::RST_STREAM => self.rst_stream(&head, &payload),
            kind::SETTINGS => self.settings(&head, &payload),
            kind::PING => self.ping(&head, &payload),
            kind::GOAWAY if head.length < 8 => size("GOAWAY", head.length),
            kind::GOAWAY if head.stream != 0 => {
                fatal(Code::Protocol, "client sent GOAWAY frame with incorrect identifier")
            }
            kind::GOAWAY => Ok(()),
            _ => self.window_update(&head, &payload),
        }
    }

    fn headers(&mut self, head: &Head, payload: &Bytes) -> Outcome {
        let Some((block, depends_on)) = frame::header_block(head, payload) else {
            return match head.length {
                0..6 if head.has(flag::PRIORITY) => size("HEADERS", head.length),
                0 => size("HEADERS", head.length),
                _ => {
                    fatal(Code::Protocol, "client sent padded HEADERS frame with incorrect length")
                }
            };
        };
        let timed_out = self.block.take().is_some();
        let open = self.link.stream(head.stream).filter(|stream| !stream.is_in_closed());
        let purpose = match open {
            _ if timed_out => Purpose::Discard,
            Some(_) if head.has(flag::END_STREAM) => Purpose::Trailers,
            _ if head.stream.is_multiple_of(2) || head.stream <= self.last_id => {
                let (id, last) = (head.stream, self.last_id);
                return fatal(
                    Code::Protocol,
                    format!(
                        "client sent HEADERS frame with incorrect identifier {id}, the last was {last}"
                    ),
                );
            }
            _ if self.goaway_sent => Purpose::Discard,
            _ => self.admit_stream(head, depends_on)?,
        };
        let in_closed = head.has(flag::END_STREAM);
        let text = BytesMut::from(block);
        self.block = Some(Block { stream: head.stream, in_closed, text, purpose });
        if head.has(flag::END_HEADERS) { self.end_of_block() } else { Ok(()) }
    }

    /// Whether a new stream becomes a request.
    fn admit_stream(&mut self, head: &Head, depends_on: Option<u32>) -> Result<Purpose, Fatal> {
        self.last_id = head.stream;
        if depends_on == Some(head.stream) {
            let text = format!(
                "client sent HEADERS frame for stream {} with incorrect dependency",
                head.stream
            );
            return Err(Fatal(Code::Protocol, text));
        }
        let most = self.conf().max_streams();
        self.new_streams += 1;
        let reason = if self.link.processing.get() >= most {
            "concurrent streams exceeded"
        } else if self.new_streams > 2 * most {
            "client sent too many streams at once"
        } else if !self.settings_acked
            && !head.has(flag::END_STREAM)
            && self.conf().preread_bytes() < http2::DEFAULT_WINDOW
        {
            "client sent stream with data before settings were acknowledged"
        } else {
            return Ok(Purpose::Request);
        };
        self.log(Level::Info, reason);
        self.refused += 1;
        if self.refused > most.max(100) {
            return Err(Fatal(Code::NoError, "client sent too many refused streams".into()));
        }
        self.link.reset(head.stream, Code::RefusedStream);
        Ok(Purpose::Discard)
    }

    fn continuation(&mut self, head: &Head, payload: &Bytes) -> Outcome {
        let most = self.limits().list_bytes + HEADERS_SLACK_BYTES;
        let Some(block) = &mut self.block else { return Ok(()) };
        if block.text.len() + payload.len() > most {
            return fatal(Code::EnhanceYourCalm, "client sent too large header block");
        }
        block.text.extend_from_slice(payload);
        if head.has(flag::END_HEADERS) { self.end_of_block() } else { Ok(()) }
    }

    /// A header block is complete: it becomes a request, or ends a body.
    fn end_of_block(&mut self) -> Outcome {
        let Some(block) = self.block.take() else { return Ok(()) };
        let text = block.text.freeze();
        let limits = self.limits();
        let mut draft = Draft::new(self.listening, self.host.clone());
        let mut useful = 0;
        let decoded = self.decoder.decode(&text, limits, &mut |field| {
            useful += (field.name.len() + field.value.len()) as u64;
            if block.purpose == Purpose::Request {
                draft.take(field);
            }
        });
        self.useful_bytes += useful;
        decoded.map_err(|error| {
            let code = match error {
                HpackError::Truncated => Code::FrameSize,
                HpackError::TooLarge => Code::EnhanceYourCalm,
                _ => Code::Compression,
            };
            Fatal(code, format!("client sent {error}"))
        })?;
        match block.purpose {
            Purpose::Discard => {}
            Purpose::Trailers => {
                if let Some(stream) = self.link.stream(block.stream) {
                    stream.end_of_input();
                }
            }
            Purpose::Request => {
                let window = self.conf().preread_bytes();
                let stream = Stream::new(&self.link, block.stream, window, block.in_closed);
                let conn = &self.link.conn;
                conn.requests.set(conn.requests.get() + 1);
                let own = Conn::of_stream(conn, stream.clone());
                let (r, refused) = draft.finish(&own, text, block.in_closed);
                self.begin(stream, r, refused);
            }
        }
        Ok(())
    }

    fn begin_data(&mut self, head: &Head) -> Result<bool, Fatal> {
        let conn = self.link.conn.clone();
        let padded = head.kind == kind::DATA && head.has(flag::PADDED);
        let prefix = frame::HEAD_BYTES + usize::from(padded);
        if padded && head.length == 0 {
            size("DATA", 0)?;
        }
        let Some(padding) = conn.with_read(|read| {
            let enough = read.len() >= prefix;
            enough.then(|| {
                let padding = if padded { usize::from(read[prefix - 1]) } else { 0 };
                read.advance(prefix);
                padding
            })
        }) else {
            return Ok(false);
        };
        let left = head.length - usize::from(padded);
        if padding > left {
            fatal(Code::Protocol, "client sent padded DATA frame with incorrect length")?;
        }
        let mut incoming = Incoming { stream: None, left, padding, end: false };
        if head.kind == kind::DATA {
            incoming.stream = self.data_stream(head)?;
            incoming.end = head.has(flag::END_STREAM);
        }
        self.data = Some(incoming);
        Ok(true)
    }

    /// The stream a DATA frame is for; none when its bytes are to be thrown away.
    fn data_stream(&mut self, head: &Head) -> Result<Option<Rc<Stream>>, Fatal> {
        if head.stream == 0 {
            fatal(Code::Protocol, "client sent DATA frame with incorrect identifier")?;
        }
        self.recv_window -= head.length as i64;
        if self.recv_window < 0 {
            fatal(Code::FlowControl, "client violated connection flow control")?;
        }
        if self.recv_window < http2::MAX_WINDOW / 4 {
            let more = http2::MAX_WINDOW - self.recv_window;
            self.recv_window = http2::MAX_WINDOW;
            self.link.put(|out| frame::put_window_update(out, 0, more as u32));
        }
        let Some(stream) = self.link.stream(head.stream) else { return Ok(None) };
        if stream.is_in_closed() {
            self.log(Level::Info, "client sent DATA frame for half-closed stream");
            stream.reset(Code::StreamClosed);
            return Ok(None);
        }
        if !stream.charge(head.length) {
            self.log(Level::Info, "client violated flow control for stream");
            stream.reset(Code::FlowControl);
            return Ok(None);
        }
        Ok(Some(stream))
    }

    /// Takes what has arrived of a payload; false when nothing has.
    fn take_data(&mut self) -> bool {
        let Some(data) = &mut self.data else { return false };
        let ready = self.link.conn.with_read(|read| read.split_to(read.len().min(data.left)));
        let mut ready = ready.freeze();
        if ready.is_empty() && data.left > 0 {
            return false;
        }
        data.left -= ready.len();
        // Padding stands at the end.
        let padding = data.padding.saturating_sub(data.left);
        ready.truncate(ready.len().saturating_sub(padding));
        data.padding -= padding.min(data.padding);
        // What nobody reads is of no use: frames of unknown kinds, data of streams that are over.
        if let Some(stream) = &data.stream {
            self.useful_bytes += ready.len() as u64;
            stream.receive(ready);
        }
        if data.left == 0 {
            if let Some(stream) = data.stream.take().filter(|_| data.end) {
                stream.end_of_input();
            }
            self.data = None;
        }
        true
    }

    fn priority(&self, head: &Head, payload: &Bytes) -> Outcome {
        if head.length != 5 {
            return size("PRIORITY", head.length);
        }
        if head.stream == 0 {
            return fatal(Code::Protocol, "client sent PRIORITY frame with incorrect identifier");
        }
        if payload.slice(..4).get_u32() & 0x7fff_ffff == head.stream {
            let text = format!(
                "client sent PRIORITY frame for stream {} with incorrect dependency",
                head.stream
            );
            return fatal(Code::Protocol, text);
        }
        Ok(())
    }

    fn rst_stream(&self, head: &Head, payload: &Bytes) -> Outcome {
        if head.length != 4 {
            return size("RST_STREAM", head.length);
        }
        if head.stream == 0 || head.stream > self.last_id {
            return fatal(Code::Protocol, "client sent RST_STREAM frame with incorrect identifier");
        }
        if let Some(stream) = self.link.stream(head.stream) {
            let code = payload.clone().get_u32();
            self.log(
                Level::Info,
                &format!("client terminated stream {} with status {code}", head.stream),
            );
            stream.break_off();
        }
        Ok(())
    }

    fn settings(&mut self, head: &Head, payload: &Bytes) -> Outcome {
        if head.has(flag::ACK) {
            if head.length != 0 {
                return size("SETTINGS", head.length);
            }
            self.settings_acked = true;
            return Ok(());
        }
        if !head.length.is_multiple_of(6) {
            return size("SETTINGS", head.length);
        }
        if head.stream != 0 {
            return fatal(Code::Protocol, "client sent SETTINGS frame with incorrect identifier");
        }
        let mut by = 0;
        for (name, value) in frame::settings(payload) {
            match name {
                setting::INITIAL_WINDOW => {
                    if i64::from(value) > http2::MAX_WINDOW {
                        return fatal(
                            Code::FlowControl,
                            "client sent SETTINGS frame with incorrect INITIAL_WINDOW_SIZE value",
                        );
                    }
                    by += i64::from(value) - self.link.initial_window.replace(value.into());
                }
                setting::MAX_FRAME => {
                    let bytes = value as usize;
                    if !(http2::DEFAULT_FRAME_BYTES..=http2::MAX_FRAME_BYTES).contains(&bytes) {
                        return fatal(
                            Code::Protocol,
                            "client sent SETTINGS frame with incorrect MAX_FRAME_SIZE value",
                        );
                    }
                    self.link.frame_bytes.set(bytes);
                }
                setting::ENABLE_PUSH if value > 1 => {
                    return fatal(
                        Code::Protocol,
                        "client sent SETTINGS frame with incorrect ENABLE_PUSH value",
                    );
                }
                _ => {}
            }
        }
        self.reply(frame::put_settings_ack)?;
        let too_large = Cell::new(false);
        self.link.each(|stream| too_large.set(!stream.change_window(by) || too_large.get()));
        match too_large.get() {
            true => fatal(Code::FlowControl, "client made a window too large"),
            false => Ok(()),
        }
    }

    fn ping(&self, head: &Head, payload: &Bytes) -> Outcome {
        if head.length != 8 {
            return size("PING", head.length);
        }
        if head.stream != 0 {
            return fatal(Code::Protocol, "client sent PING frame with incorrect identifier");
        }
        match head.has(flag::ACK) {
            true => Ok(()),
            false => self.reply(|out| frame::put_ping_ack(out, payload)),
        }
    }

    /// Answers a frame; a client that asks and does not read is a flood.
    fn reply(&self, write: impl FnOnce(&mut BytesMut)) -> Outcome {
        if self.link.conn.unsent() > UNREAD_BYTES_MAX {
            return fatal(Code::NoError, "http2 flood detected");
        }
        self.link.put(write);
        Ok(())
    }

    fn window_update(&self, head: &Head, payload: &Bytes) -> Outcome {
        if head.length != 4 {
            return size("WINDOW_UPDATE", head.length);
        }
        let more = i64::from(payload.clone().get_u32() & 0x7fff_ffff);
        if head.stream == 0 {
            if more == 0 {
                return fatal(
                    Code::Protocol,
                    "client sent WINDOW_UPDATE frame with incorrect window increment 0",
                );
            }
            let window = self.link.window.get() + more;
            if window > http2::MAX_WINDOW {
                return fatal(Code::FlowControl, "client violated connection flow control");
            }
            self.link.window.set(window);
            self.link.wake_writers();
            return Ok(());
        }
        let Some(stream) = self.link.stream(head.stream) else { return Ok(()) };
        if more == 0 {
            stream.reset(Code::Protocol);
        } else if !stream.change_window(more) {
            self.log(Level::Info, "client violated flow control for stream");
            stream.reset(Code::FlowControl);
        }
        Ok(())
    }
}

fn fatal(code: Code, text: impl Into<String>) -> Outcome {
    Err(Fatal(code, text.into()))
}

fn size(name: &str, length: usize) -> Outcome {
    fatal(Code::FrameSize, format!("client sent {name} frame with incorrect length {length}"))
}

/// Padding, priority and what compression may add to a list.
const HEADERS_SLACK_BYTES: usize = 1024;
/// Answers that may wait for a client that does not read.
const UNREAD_BYTES_MAX: usize = 1 << 20;
