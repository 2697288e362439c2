//! The answer of a memcached server, as the head and body of an HTTP response.
//!
//! ```text
//!  VALUE key flags length\r\n data \r\nEND\r\n ─▶ 200, Content-Length: length, data
//!  STORED\r\n, 42\r\n, STAT …\r\nEND\r\n       ─▶ status by the word, the lines as the body
//! ```

use bstr::BStr;
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;

use crate::{
    base::clock,
    http::{
        proxy::{
            exchange::{self, Limits, Reply},
            fault::{During, Fault},
            link::Link,
        },
        status,
    },
    net::http1::{ResponseHead, response::Parser},
};

use super::command::{Command, Kind};

/// Sends the command and reads up to where its body begins. The link is lost with an error.
pub async fn run(mut link: Link, command: &Command, limits: &Limits) -> Result<Box<Reply>, Fault> {
    let sent = tokio::time::timeout(limits.send, link.stream.write_all(&command.bytes)).await;
    clock::update();
    sent.map_err(|_| Fault::Timeout(During::Sending))?.map_err(Fault::Send)?;
    link.sent = command.bytes.len() as u64;
    let mut buf = BytesMut::with_capacity(limits.head_bytes);
    let mut received = 0;
    loop {
        let room = limits.head_bytes.saturating_sub(buf.len()).max(1);
        let read = exchange::read_within(&mut link, &mut buf, room, limits.read).await;
        match read.ok_or(Fault::Timeout(During::ReadingHead))?.map_err(Fault::Recv)? {
            0 => return Err(Fault::Closed),
            count => received += count as u64,
        }
        if let Some(answer) = parse(command, &mut buf)? {
            return Ok(Box::new(Reply {
                link,
                head: head(answer.status, answer.length)?.into(),
                headless: false,
                rest: buf,
                received,
                unsent: false,
                ignored: Vec::new(),
                call: None,
                records: None,
                tail: Some(answer.tail),
            }));
        }
        if buf.len() >= limits.head_bytes {
            return Err(Fault::Invalid("memcached sent too big response".into()));
        }
    }
}

/// What an answer has besides its status and its body.
#[derive(Default)]
pub struct Tail {
    /// What follows the body.
    pub mark: &'static [u8],
    /// Those of the value.
    pub flags: Option<Bytes>,
}

struct Answer {
    status: u16,
    length: u64,
    tail: Tail,
}

impl Answer {
    fn of(status: u16, length: usize) -> Self {
        Self { status, length: length as u64, tail: Tail::default() }
    }
}

/// Takes what stands before the body off the buffer; `None` when more is to come.
fn parse(command: &Command, buf: &mut BytesMut) -> Result<Option<Answer>, Fault> {
    let Some(end) = memchr::memchr(b'\n', buf) else { return Ok(None) };
    let line = buf[..end].strip_suffix(b"\r").unwrap_or(&buf[..end]).to_vec();
    if command.kind == Kind::Get && line.starts_with(b"VALUE ") {
        let answer = value(command, &line)?;
        let _ = buf.split_to(end + 1);
        return Ok(Some(answer));
    }
    let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let status = match (word, command.kind) {
        (b"END", Kind::Get) | (b"NOT_FOUND", _) => 404,
        (b"STORED", _) => 201,
        (b"NOT_STORED" | b"EXISTS" | b"DELETED" | b"OK" | b"VERSION", _) => 200,
        (b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR", _) => 502,
        (b"STAT" | b"END", Kind::Stats) if buf.ends_with(STATS_END) => {
            return Ok(Some(Answer::of(200, buf.len())));
        }
        (b"STAT", Kind::Stats) => return Ok(None),
        (word, Kind::Incr | Kind::Decr) if word.first().is_some_and(u8::is_ascii_digit) => 200,
        _ => {
            let line = BStr::new(&line);
            return Err(Fault::Invalid(format!("memcached sent invalid response: \"{line}\"")));
        }
    };
    if status == 404 {
        let _ = buf.split_to(end + 1);
        return Ok(Some(Answer::of(status, 0)));
    }
    Ok(Some(Answer::of(status, end + 1)))
}

/// `VALUE <key> <flags> <bytes>`
fn value(command: &Command, line: &[u8]) -> Result<Answer, Fault> {
    let mut words = line["VALUE ".len()..].split(|byte| *byte == b' ');
    let key = words.next().unwrap_or_default();
    if key != &command.key[..] {
        let (line, key) = (BStr::new(line), BStr::new(&command.key));
        return Err(Fault::Invalid(format!(
            "memcached sent invalid key in response \"{line}\" for key \"{key}\""
        )));
    }
    let flags = words.next().filter(|flags| !flags.is_empty());
    let length = words.next().and_then(|length| std::str::from_utf8(length).ok()?.parse().ok());
    let line = BStr::new(line);
    let Some(flags) = flags else {
        return Err(Fault::Invalid(format!("memcached sent invalid flags in response \"{line}\"")));
    };
    let Some(length) = length else {
        return Err(Fault::Invalid(format!(
            "memcached sent invalid length in response \"{line}\""
        )));
    };
    let flags = Some(Bytes::copy_from_slice(flags));
    Ok(Answer { status: 200, length, tail: Tail { mark: VALUE_END, flags } })
}

/// The rest of the proxy knows heads of HTTP.
fn head(status: u16, length: u64) -> Result<ResponseHead, Fault> {
    let line = status::line(status).unwrap_or_default();
    let text = format!("HTTP/1.1 {line}\r\nContent-Length: {length}\r\n\r\n");
    let mut parser = Parser::new(text.len() + 1);
    parser.step(text.as_bytes()).map_err(Fault::Header)?;
    Ok(parser.finish(text.into()))
}

const VALUE_END: &[u8] = b"\r\nEND\r\n";
const STATS_END: &[u8] = b"END\r\n";
