//! The body of a response, from the upstream to the client's filters.
//!
//! ```text
//!  socket ─▶ buffer ─ length | chunks | until close ─▶ r.output     gathered, or piece by piece
//!                                                        └ too much unsent? wait for the client
//! ```

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::{
    base::{clock, errno::Errno, log::Level, units},
    http::output::{Chunk, OutputError},
    net::http1::response::Body,
};

use super::{
    exchange::{self, Reply},
    fault::{self, During, End, Fault},
    framing::Framing,
    passage::Passage,
};

/// Passes the body on. True when the connection has nothing more to say of this response.
pub async fn run(
    p: &mut Passage<'_>,
    reply: &mut Reply,
    body: Body,
    at_once: bool,
) -> Result<bool, End> {
    let mut framing = Framing::new(p, reply, body);
    let mut raw = std::mem::take(&mut reply.rest);
    let mut gathered = BytesMut::new();
    let least = if at_once { 1 } else { p.conf().buffer_size() };
    let limit = p.limits().read;
    let mut raw_bytes = raw.len() as u64;
    let pace = Pace::new(p, at_once);
    loop {
        let done = match framing.take(&mut raw, &mut gathered) {
            Ok(done) => done,
            Err(error) => {
                log(p, Level::Error, &error);
                give_rest(p, gathered).await?;
                return Err(End::Try(Fault::Closed));
            }
        };
        framing.tell_complaints(p);
        if gathered.len() >= least || done && !gathered.is_empty() {
            output(p, gathered.split().freeze(), at_once).await?;
        }
        if done {
            break;
        }
        let room = pace.wait(p, raw_bytes).await?;
        let count = match read(p, reply, &mut raw, room, limit).await {
            Ok(count) => count,
            // nginx does not look into a buffer it was filling when the time was up.
            Err(end @ End::Try(Fault::Timeout(_))) => return Err(end),
            Err(end) => {
                give_rest(p, gathered).await?;
                return Err(end);
            }
        };
        raw_bytes += count as u64;
        p.r.upstream_note(|attempt, _| {
            attempt.bytes_received += count as u64;
            attempt.response_length = raw_bytes;
        });
        if count == 0 {
            if framing.ends_with_close() {
                give_rest(p, gathered).await?;
                return Ok(false);
            }
            log(p, Level::Error, fault::CLOSED);
            give_rest(p, gathered).await?;
            return Err(End::Try(Fault::Closed));
        }
    }
    p.r.upstream_note(|attempt, _| attempt.response_length = raw_bytes);
    if framing.has_extra(&raw) {
        log(p, Level::Warn, "upstream sent more data than specified in \"Content-Length\" header");
    }
    Ok(raw.is_empty() && framing.is_clean())
}

/// What came before a break still goes to the client.
async fn give_rest(p: &mut Passage<'_>, gathered: BytesMut) -> Result<(), End> {
    if gathered.is_empty() { Ok(()) } else { output(p, gathered.freeze(), true).await }
}

async fn read(
    p: &mut Passage<'_>,
    reply: &mut Reply,
    raw: &mut BytesMut,
    room: usize,
    limit: Duration,
) -> Result<usize, End> {
    let reading = exchange::read_within(&mut reply.link, raw, room, limit);
    match p.guard(reading).await? {
        Some(Ok(count)) => Ok(count),
        Some(Err(error)) => {
            p.r.log(Level::Error, format_args!("recv() failed {}", Errno(&error)));
            Err(End::Try(Fault::Closed))
        }
        None => {
            log(p, Level::Error, fault::TIMED_OUT);
            Err(End::Try(Fault::Timeout(During::ReadingBody)))
        }
    }
}

/// Hands bytes to the filters and waits when the client takes them too slowly.
pub async fn output(p: &mut Passage<'_>, data: Bytes, flush: bool) -> Result<(), End> {
    let r = p.r;
    p.keep_piece(&data);
    if p.client_lost {
        return Ok(());
    }
    match r.output(Chunk { data, flush, ..Chunk::default() }) {
        Ok(()) => {}
        Err(OutputError::Status(status)) => return Err(End::Status(status)),
        Err(_) if p.keeps_answer() => {
            // The answer is worth having for others.
            p.client_lost = true;
            return Ok(());
        }
        Err(_) => return Err(client_lost(p)),
    }
    if r.capture.is_none() && r.conn.unsent() > UNSENT_BYTES_MAX && r.flushed().await.is_err() {
        return Err(client_lost(p));
    }
    Ok(())
}

/// The client's connection broke while it was written to.
fn client_lost(p: &Passage<'_>) -> End {
    if p.r.conn.send_timed_out.get() {
        p.r.conn.action.set("sending to client");
        log(p, Level::Info, "client timed out (110: Connection timed out)");
        return End::Status(408);
    }
    End::Status(499)
}

fn log(p: &Passage<'_>, level: Level, text: &str) {
    p.r.log(level, format_args!("{text}"));
}

/// `proxy_limit_rate`: how fast a gathered response is read.
struct Pace {
    /// Bytes a second, 0 for no limit.
    rate: u64,
    started_ms: u64,
}

impl Pace {
    fn new(p: &Passage<'_>, at_once: bool) -> Self {
        let text = p.conf().limit_rate.as_ref().filter(|_| !at_once).map(|rate| rate.eval(p.r));
        let rate = text.and_then(|text| units::parse_size(&text)).unwrap_or(0) as u64;
        Self { rate, started_ms: clock::mono_ms() }
    }

    /// Waits until more may be read; how much.
    async fn wait(&self, p: &Passage<'_>, read_bytes: u64) -> Result<usize, End> {
        if self.rate == 0 {
            return Ok(READ_BYTES);
        }
        loop {
            // nginx counts whole seconds, the one that has begun included.
            let seconds = clock::mono_ms().saturating_sub(self.started_ms) / 1000 + 1;
            let allowed = self.rate.saturating_mul(seconds);
            if allowed > read_bytes {
                return Ok(READ_BYTES.min((allowed - read_bytes) as usize));
            }
            let delay_ms = (read_bytes - allowed) * 1000 / self.rate + 1;
            p.guard(tokio::time::sleep(Duration::from_millis(delay_ms))).await?;
            clock::update();
        }
    }
}

/// A read from the upstream.
const READ_BYTES: usize = 32 * 1024;
/// What may wait for a slow client before the upstream has to wait too.
const UNSENT_BYTES_MAX: usize = 256 * 1024;
