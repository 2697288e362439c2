//! HTTP/2 as a client that writes frames itself, and as many of them as it likes.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A connection with prior knowledge.
pub struct H2 {
    stream: TcpStream,
    received: Vec<u8>,
    /// What a server that does not read has left in the middle of a frame.
    unsent: Vec<u8>,
    next_id: u32,
}

/// A frame of the server's.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl H2 {
    pub fn connect(port: u16) -> Result<H2, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let patience = Duration::from_millis(500);
        stream.set_write_timeout(Some(patience)).map_err(|e| e.to_string())?;
        let mut h2 = H2 { stream, received: Vec::new(), unsent: Vec::new(), next_id: 1 };
        h2.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        h2.write(&frame(SETTINGS, 0, 0, b""))?;
        Ok(h2)
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.unsent.extend_from_slice(bytes);
        self.flush()
    }

    /// Goes on with what was not taken; an error when that is so again.
    pub fn flush(&mut self) -> Result<(), String> {
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.stream.write(&self.unsent[sent..]) {
                Ok(count) => sent += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    self.unsent.drain(..sent);
                    return Err(e.to_string());
                }
            }
        }
        self.unsent.clear();
        Ok(())
    }

    pub fn is_stuck(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// The next number of a stream.
    pub fn id(&mut self) -> u32 {
        self.next_id += 2;
        self.next_id - 2
    }

    /// Opens a stream with a call, and ends its body.
    pub fn call(&mut self, method: &str, body: &[u8]) -> Result<u32, String> {
        let id = self.id();
        let mut bytes = frame(HEADERS, END_HEADERS, id, &head(method));
        bytes.extend(frame(DATA, END_STREAM, id, body));
        self.write(&bytes)?;
        Ok(id)
    }

    /// The next frame, if one comes in time; an error when the server has closed.
    pub fn read(&mut self, limit: Duration) -> Result<Option<Frame>, String> {
        let end = Instant::now() + limit;
        loop {
            if let Some(frame) = self.take() {
                return Ok(Some(frame));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err("closed".into()),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    /// The code of the GOAWAY the server ends the connection with.
    pub fn goaway(&mut self, limit: Duration) -> Result<u32, String> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            let Some(frame) = self.read(end.saturating_duration_since(Instant::now()))? else {
                break;
            };
            if let (GOAWAY, Some(code)) = (frame.kind, frame.payload.get(4..8)) {
                return Ok(code.iter().fold(0, |code, byte| code << 8 | u32::from(*byte)));
            }
        }
        Err(format!("no GOAWAY within {limit:?}"))
    }

    fn take(&mut self) -> Option<Frame> {
        let head: [u8; 9] = self.received.get(..9)?.try_into().ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let payload = self.received.get(9..9 + length)?.to_vec();
        self.received.drain(..9 + length);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], stream, payload })
    }
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// The header block of a call.
pub fn head(method: &str) -> Vec<u8> {
    let path = format!("/grpc.health.v1.Health/{method}");
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path.as_str()),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// A field as a literal that no table takes.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        length(&mut out, text.len());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// A length with a prefix of seven bits.
pub fn length(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < 127 => out.push(short),
        _ => {
            out.push(127);
            let mut left = length - 127;
            while left >= 128 {
                out.push((left % 128) as u8 | 128);
                left /= 128;
            }
            out.push(left as u8);
        }
    }
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
