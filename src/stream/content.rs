//! What a server does with a session: the trait, the client's side, and `return`.

use std::io;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::conf::row::{Row, STREAM_SERVER, row, take};
use crate::conf::{Builder, Diag, Directive, Part};
use crate::net::stream::Stream;
use crate::server::template::Template;

use super::build::Chosen;
use super::datagram::Datagrams;
use super::session::Session;

/// Serves sessions; gives back the status each ends with.
pub trait Content: Send + Sync {
    fn run<'a>(&'a self, s: &'a Rc<Session>, down: &'a mut Downstream) -> LocalBoxFuture<'a, u16>;
}

/// The client's side of a session.
pub enum Downstream {
    Stream(Stream),
    Datagrams(Datagrams),
    /// Somebody else has it now.
    Gone,
}

impl Downstream {
    /// Reads at most so many bytes into what was read ahead; 0 at the end.
    pub async fn read_ahead(&mut self, s: &Session, most: usize) -> io::Result<usize> {
        let Self::Stream(stream) = self else { return Ok(0) };
        let mut space = vec![0; most];
        let count = stream.read(&mut space).await?;
        s.preread.borrow_mut().extend_from_slice(&space[..count]);
        s.count_received(count);
        Ok(count)
    }
}

pub const ROWS: &[Row] = &[row("return", STREAM_SERVER, take(1), set_return)];

/// The text of `return`.
#[derive(Default)]
struct Return(Option<Template<Session>>);

impl Part for Return {
    fn inherit(&mut self, _parent: &Self) {}
}

struct SendText;

impl Content for SendText {
    fn run<'a>(&'a self, s: &'a Rc<Session>, down: &'a mut Downstream) -> LocalBoxFuture<'a, u16> {
        Box::pin(async move {
            s.action.set("returning text");
            let server = s.server();
            let text = server.scope.part::<Return>().0.as_ref().map(|text| text.eval(s));
            send(s, down, text.unwrap_or_default()).await
        })
    }
}

async fn send(s: &Rc<Session>, down: &mut Downstream, text: Bytes) -> u16 {
    match down {
        Downstream::Stream(stream) => {
            if stream.write_all(&text).await.is_err() || stream.flush().await.is_err() {
                return 200;
            }
            s.count_sent(text.len());
        }
        Downstream::Datagrams(datagrams) => {
            if !text.is_empty() && datagrams.send(&text).await.is_ok() {
                s.count_sent(text.len());
            }
        }
        Downstream::Gone => {}
    }
    200
}

/// A TLS connection says that it ends; a plain one just does.
pub async fn farewell(stream: &mut Stream) {
    if stream.is_tls() {
        // A client that does not read keeps nobody waiting.
        let goodbye = tokio::time::timeout(FAREWELL, stream.shutdown());
        let _ = goodbye.await;
    }
}

const FAREWELL: std::time::Duration = std::time::Duration::from_secs(3);

fn set_return(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let text = Template::compile(b, d.arg(1))?;
    choose(b, &SendText);
    d.once(&mut b.part::<Return>().0, |_| Ok(text))
}

/// Notes the content handler of a server; of several kinds the last one holds, as in nginx.
pub fn choose(b: &mut Builder<'_>, content: &'static dyn Content) {
    b.part::<Chosen>().0 = Some(content);
}
