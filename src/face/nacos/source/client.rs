//! One HTTP request to a Nacos server: connect, ask, read to the end.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::net::dial::{self, Dial, DialError};
use crate::net::stream::Stream;
use crate::net::tls::{self, TlsError, VerifyError};

use super::conf::{Secure, ServerAddr};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0}")]
    Dial(#[from] DialError),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Untrusted(#[from] VerifyError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no answer in time")]
    Timeout,
    #[error("the answer is too long")]
    Long,
    #[error("the answer is no HTTP")]
    NoHttp,
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer is no list: {0}")]
    NoList(#[from] serde_json::Error),
}

/// Asks with HTTP/1.0, whose answers end with the connection; gives the body of a 200.
pub async fn ask(
    server: &ServerAddr,
    secure: Option<&Secure>,
    method: &str,
    target: &str,
    form: &str,
) -> Result<Vec<u8>, ClientError> {
    let exchange = exchange(server, secure, method, target, form);
    tokio::time::timeout(LIMIT, exchange).await.map_err(|_| ClientError::Timeout)?
}

async fn exchange(
    server: &ServerAddr,
    secure: Option<&Secure>,
    method: &str,
    target: &str,
    form: &str,
) -> Result<Vec<u8>, ClientError> {
    let stream = dial::connect(&server.addr, &Dial::default()).await?;
    let mut stream = match (stream, secure, &server.name) {
        (Stream::Plain(socket), Some(secure), Some(name)) => {
            let connected = tls::connect(socket, &secure.client, Some(name)).await?;
            if secure.verify {
                connected.verify(Some(name))?;
            }
            connected.stream
        }
        (stream, ..) => stream,
    };
    let request = format!(
        "{method} {}{target} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\
         User-Agent: moonbeat\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        server.context,
        server.host,
        form.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let read = (&mut stream).take(ANSWER_MAX + 1).read_to_end(&mut answer).await;
    // Some end a TLS connection without saying so; the length of the body tells what is missing.
    read.map(drop).or_else(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => Ok(()),
        _ => Err(e),
    })?;
    if answer.len() as u64 > ANSWER_MAX {
        return Err(ClientError::Long);
    }
    body(&answer)
}

fn body(answer: &[u8]) -> Result<Vec<u8>, ClientError> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head.parse(answer).map_err(|_| ClientError::NoHttp)?;
    let httparse::Status::Complete(length) = parsed else { return Err(ClientError::NoHttp) };
    let chunked = head.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("Transfer-Encoding")
            && header.value.eq_ignore_ascii_case(b"chunked")
    });
    let promised = head.headers.iter().find_map(|header| {
        let is_length = header.name.eq_ignore_ascii_case("Content-Length");
        is_length.then(|| std::str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok())
    });
    let got = answer.len() - length;
    match head.code {
        Some(200) if promised.flatten().is_some_and(|promised| got < promised) => {
            Err(ClientError::NoHttp)
        }
        // Nobody may send chunks to a client of HTTP/1.0.
        Some(200) if chunked => Err(ClientError::NoHttp),
        Some(200) => Ok(answer[length..].to_vec()),
        Some(status) => Err(ClientError::Status(status)),
        None => Err(ClientError::NoHttp),
    }
}

const LIMIT: Duration = Duration::from_secs(3);
const ANSWER_MAX: u64 = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let fine = body(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}");
        assert_eq!(fine.ok().as_deref(), Some(&b"{}"[..]));
        assert!(matches!(body(b"HTTP/1.1 403 No\r\n\r\n"), Err(ClientError::Status(403))));
        let short = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}";
        for bad in [&b""[..], b"junk\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n", short] {
            assert!(matches!(body(bad), Err(ClientError::NoHttp)));
        }
    }
}
