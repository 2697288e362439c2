//! Datagrams of a session in both directions, counted as requests and responses.

use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;

use crate::base::clock;
use crate::base::log::Level;
use crate::stream::datagram::{Datagrams, MOST_BYTES};

use super::fault::{Fault, TIMED_OUT};
use super::link::Link;
use super::passage::Passage;
use super::rate::Rate;

/// Runs until the responses asked for have come, or nothing comes any more.
pub async fn run(p: &mut Passage<'_>, client: &mut Datagrams) -> u16 {
    let Some(first) = client.next().await else { return 200 };
    let peer = match p.connect().await {
        Ok(Link::Datagrams(peer)) => peer,
        Ok(Link::Stream(_)) => return 500,
        Err(status) => return status,
    };
    let mut run = Run { requests: 0, responses: 0 };
    let status = match run.exchange(p, client, &peer, first).await {
        Ok(status) => status,
        Err(fault) => {
            // There is no going on to another peer: datagrams may have arrived.
            let (level, text) = fault.message();
            p.s.log(level, format_args!("{text}"));
            502
        }
    };
    p.release(status != 200);
    status
}

struct Run {
    requests: u64,
    responses: u64,
}

impl Run {
    async fn exchange(
        &mut self,
        p: &Passage<'_>,
        client: &mut Datagrams,
        peer: &UdpSocket,
        first: Bytes,
    ) -> Result<u16, Fault> {
        self.ask(p, peer, &first).await?;
        let limit = Duration::from_millis(p.conf.timeout_ms());
        let download = Rate::of(p.s, p.conf.download_rate.as_ref());
        let upload = Rate::of(p.s, p.conf.upload_rate.as_ref());
        let mut received = 0;
        let mut buffer = vec![0; MOST_BYTES];
        loop {
            if self.is_done(p) {
                self.tell(p, "udp done");
                return Ok(200);
            }
            let asks = p.conf.requests() == 0 || self.requests < p.conf.requests();
            let event = tokio::select! {
                Some(data) = client.next(), if asks => Event::Request(data),
                count = peer.recv(&mut buffer) => Event::Response(count.map_err(Fault::Recv)?),
                () = tokio::time::sleep(limit) => Event::Idle,
            };
            clock::update();
            match event {
                Event::Request(data) => {
                    p.s.count_received(data.len());
                    pause(&upload, p.s.received.get()).await;
                    self.ask(p, peer, &data).await?;
                }
                Event::Response(count) => {
                    received += count as u64;
                    self.responses += 1;
                    p.s.trace.note(|last, took_ms| {
                        last.received += count as u64;
                        last.first_byte_ms.get_or_insert(took_ms);
                    });
                    if client.send(&buffer[..count]).await.is_ok() {
                        p.s.count_sent(count);
                    }
                    pause(&download, received).await;
                }
                Event::Idle => return Ok(self.idle(p)),
            }
        }
    }

    async fn ask(&mut self, p: &Passage<'_>, peer: &UdpSocket, data: &[u8]) -> Result<(), Fault> {
        let sent = peer.send(data).await.map_err(Fault::Send)?;
        p.s.trace.note(|last, _| last.sent += sent as u64);
        self.requests += 1;
        Ok(())
    }

    /// All requests were sent, all responses to them have come.
    fn is_done(&self, p: &Passage<'_>) -> bool {
        let requests = p.conf.requests();
        let all_asked = requests == 0 || self.requests >= requests;
        let wanted = p.conf.responses.map(|each| each * self.requests);
        all_asked && wanted.is_some_and(|wanted| self.responses >= wanted)
    }

    /// Nothing came for too long.
    fn idle(&self, p: &Passage<'_>) -> u16 {
        let wanted = p.conf.responses.map(|each| each * self.requests);
        if wanted.is_none_or(|wanted| self.responses >= wanted) {
            self.tell(p, "udp timed out");
            return 200;
        }
        p.s.log(Level::Error, format_args!("{TIMED_OUT}"));
        502
    }

    fn tell(&self, p: &Passage<'_>, what: &str) {
        let (received, sent) = p.s.trace.totals();
        let (from, to) = (p.s.received.get(), p.s.sent.get());
        let (asked, answered) = (self.requests, self.responses);
        p.s.log_bare(
            Level::Info,
            format_args!(
                "{what}, packets from/to client:{asked}/{answered}, bytes from/to \
                 client:{from}/{to}, bytes from/to upstream:{received}/{sent}"
            ),
        );
    }
}

enum Event {
    Request(Bytes),
    Response(usize),
    Idle,
}

/// Waits as long as the rate says before more is read.
async fn pause(rate: &Rate, moved: u64) {
    if let Err(wait_ms) = rate.allows(moved) {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
}
