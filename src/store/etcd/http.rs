//! One connection to a member of etcd: questions go out, heads and pieces of bodies come in.
//!
//! ```text
//!  open(endpoint) ─▶ Link ─ ask(path, JSON) ─▶ status ─ piece() ─▶ Some(bytes) … None
//! ```

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client::Fault;
use super::spec::Endpoint;
use crate::net::addr::Addr;
use crate::net::dial::{self, Dial};
use crate::net::http1::chunked::Decoder;
use crate::net::http1::response::{Body, Parser};
use crate::net::lookup;
use crate::net::stream::Stream;
use crate::net::tls::{self, ClientTls};

/// An open connection.
pub struct Link {
    stream: Stream,
    host: String,
    read: BytesMut,
    body: Rest,
    /// May be asked again once the body has been read.
    pub lasting: bool,
}

/// What is still to come of an answer.
enum Rest {
    Nothing,
    Bytes(u64),
    Chunks(Decoder),
    UntilClose,
}

/// How a TLS connection is made.
pub struct Tls {
    pub client: ClientTls,
    pub verify: bool,
    pub name: Option<String>,
}

impl Link {
    pub async fn open(endpoint: &Endpoint, tls: Option<&Tls>) -> Result<Self, Fault> {
        let host = endpoint.host.clone();
        let found =
            tokio::task::spawn_blocking(move || lookup::host(host.trim_matches(['[', ']'])))
                .await
                .map_err(|error| Fault::Dial(error.to_string()))?;
        let ips = found.map_err(|error| Fault::Dial(format!("\"{}\": {error}", endpoint.host)))?;
        let mut failed = Fault::Dial(format!("\"{}\" has no address", endpoint.host));
        for ip in ips {
            let to = Addr::Inet((ip, endpoint.port).into());
            let how = Dial { keepalive: true, ..Dial::default() };
            match dial::connect(&to, &how).await {
                Ok(stream) => return Self::over(stream, endpoint, tls).await,
                Err(error) => failed = Fault::Dial(error.to_string()),
            }
        }
        Err(failed)
    }

    async fn over(stream: Stream, endpoint: &Endpoint, tls: Option<&Tls>) -> Result<Self, Fault> {
        let _ = stream.socket().set_nodelay(true);
        let stream = match (stream, tls) {
            (Stream::Plain(socket), Some(how)) if endpoint.https => {
                let name = how.name.as_deref().unwrap_or(&endpoint.host);
                let dial = |text: String| Fault::Dial(text);
                let made = tls::connect(socket, &how.client, Some(name)).await;
                let made = made.map_err(|error| dial(error.to_string()))?;
                if how.verify {
                    made.verify(Some(name)).map_err(|error| {
                        dial(format!("certificate of \"{name}\" is not trusted: {error}"))
                    })?;
                }
                made.stream
            }
            (stream, _) => stream,
        };
        let host = format!("{}:{}", endpoint.host, endpoint.port);
        let (read, body) = (BytesMut::new(), Rest::Nothing);
        Ok(Self { stream, host, read, body, lasting: true })
    }

    /// False when the other side has closed meanwhile.
    pub fn is_open(&self) -> bool {
        !self.stream.peer_closed()
    }

    /// Asks; returns the status when the head of the answer is there.
    pub async fn ask(
        &mut self,
        path: &str,
        token: Option<&str>,
        question: &[u8],
    ) -> Result<u16, Fault> {
        let authorization = token.map(|t| format!("Authorization: {t}\r\n")).unwrap_or_default();
        // A member that has lost its cluster shall say so rather than be silent.
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{authorization}\
             Grpc-Metadata-hasleader: true\r\nContent-Length: {}\r\n\r\n",
            self.host,
            question.len()
        );
        self.lasting = false;
        self.stream.write_all(&[head.as_bytes(), question].concat()).await?;
        self.stream.flush().await?;
        let mut parser = Parser::new(HEAD_MOST_BYTES);
        while !parser.step(&self.read).map_err(|error| Fault::Http(error.to_string()))? {
            self.more().await?;
        }
        let head = parser.head_len();
        let head = parser.finish(self.read.split_to(head).freeze());
        self.lasting = !head.close;
        self.body = match head.body(false) {
            Body::None => Rest::Nothing,
            Body::Length(length) => Rest::Bytes(length),
            Body::Chunked => Rest::Chunks(Decoder::new()),
            Body::UntilClose => Rest::UntilClose,
        };
        Ok(head.status)
    }

    /// The next piece of the body; none at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            if self.read.is_empty() && !matches!(self.body, Rest::Nothing | Rest::Bytes(0)) {
                match self.more().await {
                    Err(Fault::Closed) if matches!(self.body, Rest::UntilClose) => return Ok(None),
                    other => other?,
                }
            }
            match &mut self.body {
                Rest::Nothing | Rest::Bytes(0) => return Ok(None),
                Rest::UntilClose => return Ok(Some(self.read.split().freeze())),
                Rest::Bytes(left) => {
                    let some = self.read.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= some as u64;
                    return Ok(Some(self.read.split_to(some).freeze()));
                }
                Rest::Chunks(decoder) => {
                    let step = decoder.step(&self.read);
                    let step = step.map_err(|error| Fault::Http(error.to_string()))?;
                    self.read.advance(step.skip);
                    if step.data > 0 {
                        return Ok(Some(self.read.split_to(step.data).freeze()));
                    }
                    if step.done {
                        self.body = Rest::Nothing;
                    }
                }
            }
        }
    }

    async fn more(&mut self) -> Result<(), Fault> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(Fault::Closed),
            _ => Ok(()),
        }
    }
}

const HEAD_MOST_BYTES: usize = 64 * 1024;
