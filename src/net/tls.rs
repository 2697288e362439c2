//! TLS over a `Socket`: the streams here, server and client sides in files of their own.

use tokio_rustls::{client, server};

use super::stream::Socket;

/// The server's end of a TLS connection.
pub type ServerStream = server::TlsStream<Socket>;

/// The client's end of a TLS connection.
pub type ClientStream = client::TlsStream<Socket>;
