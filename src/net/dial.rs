//! Connecting: one non-blocking `connect()` with a deadline and, if asked, a local address.

use std::io;
use std::time::Duration;

use socket2::{Socket as RawSocket, Type};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::addr::Addr;
use super::listen::sockaddr;
use super::stream::{Socket, Stream};
use crate::base::errno::Errno;
use crate::base::log::Level;

/// How to connect.
#[derive(Clone, Debug, Default)]
pub struct Dial {
    /// Local address (`proxy_bind`, `lua tcpsock:bind`).
    pub bind: Option<Addr>,
    /// None waits as long as the kernel does.
    pub timeout: Option<Duration>,
    pub keepalive: bool,
}

/// Why there is no connection; the text is the one nginx logs.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("socket() failed {}", Errno(.0))]
    Socket(io::Error),
    #[error("bind({}) failed {}", local_text(.addr), Errno(.error))]
    Bind { addr: Addr, error: io::Error },
    /// `connect()` itself said no: unix sockets, unreachable networks.
    #[error("connect() to {addr} failed {}", Errno(.error))]
    Refused { addr: Addr, error: io::Error },
    /// The attempt was under way when the answer came.
    #[error("connect() failed {}", Errno(.0))]
    Connect(io::Error),
    #[error("timed out (110: Connection timed out)")]
    Timeout,
}

/// A local address as the configuration had it: mostly without a port.
fn local_text(addr: &Addr) -> String {
    if addr.port() == 0 && !addr.is_unix() { addr.ip_text() } else { addr.to_string() }
}

impl DialError {
    /// The system error below; a timeout has none.
    pub fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Socket(e) | Self::Connect(e) => Some(e),
            Self::Bind { error, .. } | Self::Refused { error, .. } => Some(error),
            Self::Timeout => None,
        }
    }

    /// What is usual between machines is an error; a missing socket file is worse.
    pub fn level(&self) -> Level {
        use io::ErrorKind::{
            ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable,
            TimedOut, WouldBlock,
        };
        match self {
            Self::Connect(_) | Self::Timeout => Level::Error,
            Self::Refused { error, .. } => match error.kind() {
                ConnectionRefused | ConnectionReset | HostUnreachable | NetworkDown
                | NetworkUnreachable | TimedOut | WouldBlock => Level::Error,
                _ => Level::Crit,
            },
            Self::Socket(_) => Level::Alert,
            Self::Bind { .. } => Level::Crit,
        }
    }

    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout)
            || self.io().is_some_and(|e| e.kind() == io::ErrorKind::TimedOut)
    }
}

/// Connects to `to` as `how` says.
pub async fn connect(to: &Addr, how: &Dial) -> Result<Stream, DialError> {
    let refused = |error| DialError::Refused { addr: to.clone(), error };
    let (domain, addr) = sockaddr(to).map_err(refused)?;
    let kind = Type::STREAM.nonblocking();
    let socket = RawSocket::new(domain, kind, None).map_err(DialError::Socket)?;
    if how.keepalive {
        socket.set_keepalive(true).map_err(DialError::Socket)?;
    }
    if let Some(local) = &how.bind {
        let bad = |error| DialError::Bind { addr: local.clone(), error };
        let (_, from) = sockaddr(local).map_err(bad)?;
        socket.bind(&from).map_err(bad)?;
    }
    let pending = match socket.connect(&addr) {
        Ok(()) => false,
        Err(e) if e.raw_os_error() == Some(EINPROGRESS) => true,
        Err(error) => return Err(DialError::Refused { addr: to.clone(), error }),
    };
    let socket = register(socket, to.is_unix()).map_err(DialError::Socket)?;
    if pending {
        match how.timeout {
            Some(limit) => timeout(limit, finish(&socket)).await.map_err(|_| DialError::Timeout)?,
            None => finish(&socket).await,
        }
        .map_err(DialError::Connect)?;
    }
    Ok(Stream::Plain(socket))
}

fn register(socket: RawSocket, unix: bool) -> io::Result<Socket> {
    if unix {
        Ok(Socket::Unix(UnixStream::from_std(socket.into())?))
    } else {
        Ok(Socket::Tcp(TcpStream::from_std(socket.into())?))
    }
}

async fn finish(socket: &Socket) -> io::Result<()> {
    let ready = match socket {
        Socket::Tcp(s) => s.ready(Interest::WRITABLE).await?,
        Socket::Unix(s) => s.ready(Interest::WRITABLE).await?,
    };
    // An attempt that failed shuts the way out too; without that there is no error to ask for.
    match ready.is_write_closed() {
        true => socket.take_error()?.map_or(Ok(()), Err),
        false => Ok(()),
    }
}

/// Linux's number; `std` has no stable kind for it.
const EINPROGRESS: i32 = 115;

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Addr {
        Addr::literal(text.as_bytes()).unwrap()
    }

    #[tokio::test]
    async fn refused_in_nginx_words() {
        // Below the ports that are given away: nobody listens there by chance.
        let error = connect(&addr("127.0.0.1:1"), &Dial::default()).await.unwrap_err();
        assert_eq!(error.to_string(), "connect() failed (111: Connection refused)");
        let error = connect(&addr("unix:/nowhere.sock"), &Dial::default()).await.unwrap_err();
        let expected = "connect() to unix:/nowhere.sock failed (2: No such file or directory)";
        assert_eq!(error.to_string(), expected);
    }

    #[tokio::test]
    async fn binds_locally() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = Addr::Inet(server.local_addr().unwrap());
        let local = std::net::SocketAddr::from(([127, 0, 0, 2], 0));
        let how = Dial { bind: Some(local.into()), ..Dial::default() };
        let stream = connect(&to, &how).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip_text(), "127.0.0.2");
        let (_, from) = server.accept().await.unwrap();
        assert_eq!(from.ip().to_string(), "127.0.0.2");
    }
}
