//! Sessions of one worker thread: accepted, run through their phases, counted until they end.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, watch};

use crate::base::clock;
use crate::base::log::Level;
use crate::net::addr::Addr;
use crate::net::listen::Listener;
use crate::net::stream::Stream;
use crate::process::Stop;
use crate::server::proxy_protocol::{self, Between};
use crate::server::{accept, listen, serial};

use super::build::{Listening, StreamConf};
use super::conf::CoreConf;
use super::content::{Downstream, farewell};
use super::datagram::{Clients, MOST_BYTES};
use super::phase::Phase;
use super::proxy::conf::Proxy;
use super::session::Session;
use super::tls;

/// Sessions of one worker thread under one configuration.
struct Server {
    conf: Arc<StreamConf>,
    shutdown: watch::Receiver<Stop>,
    open: Cell<usize>,
    idle: Notify,
}

/// Serves on one worker thread until told to stop; then waits for open sessions to end.
pub async fn serve(
    conf: Arc<StreamConf>,
    listeners: Vec<(Listener, Addr)>,
    mut shutdown: watch::Receiver<Stop>,
) {
    let (open, idle) = (Cell::new(0), Notify::new());
    let server = Rc::new(Server { conf, shutdown: shutdown.clone(), open, idle });
    for (listener, socket) in listeners {
        match listener {
            Listener::Udp(udp) => {
                tokio::task::spawn_local(server.clone().receive(Rc::new(udp), socket));
            }
            listener => _ = tokio::task::spawn_local(server.clone().accept(listener, socket)),
        }
    }
    // An error means that the control thread is gone: nothing to serve for.
    let stop = shutdown.wait_for(|stop| *stop > Stop::Serve).await.map(|stop| *stop);
    if stop.is_ok_and(|stop| stop < Stop::Fast) {
        tokio::select! {
            () = server.drained() => {}
            _ = shutdown.wait_for(|stop| *stop == Stop::Fast) => {}
        }
    }
}

impl Server {
    async fn accept(self: Rc<Self>, listener: Listener, socket: Addr) {
        let take = |stream: Stream, peer: Addr| {
            clock::update();
            let Ok(local) = stream.local_addr() else { return };
            let down = Downstream::Stream(stream);
            self.clone().begin(down, (peer, local, &socket), serial());
        };
        let serves = |stop: &Stop| *stop == Stop::Serve;
        accept::accept(listener, &socket, self.shutdown.clone(), serves, take).await;
    }

    /// Receives datagrams on one socket until told to stop; replies keep using it.
    async fn receive(self: Rc<Self>, udp: Rc<UdpSocket>, socket: Addr) {
        let clients = Rc::new(Clients::default());
        let mut shutdown = self.shutdown.clone();
        let mut buffer = vec![0; MOST_BYTES];
        loop {
            if *shutdown.borrow() != Stop::Serve {
                return;
            }
            let received = tokio::select! {
                received = udp.recv_from(&mut buffer) => received,
                _ = shutdown.changed() => continue,
            };
            clock::update();
            // An ICMP answer to what was sent before: it concerns one client only.
            let Ok((count, from)) = received else { continue };
            let data = Bytes::copy_from_slice(&buffer[..count]);
            if let Err(first) = clients.deliver(from, data) {
                let number = serial();
                let local = udp.local_addr().map_or_else(|_| socket.clone(), Addr::Inet);
                let most = self.datagrams_of_session(&socket, &local);
                let own = clients.begin(&udp, from, (number, most), first);
                let down = Downstream::Datagrams(own);
                self.clone().begin(down, (Addr::Inet(from), local, &socket), number);
            }
        }
    }

    /// `proxy_requests` of the server that answers there.
    fn datagrams_of_session(&self, socket: &Addr, local: &Addr) -> u64 {
        let listening = listen::find(&self.conf.addresses, socket, true, local);
        listening.map_or(0, |l| l.servers.default.scope.part::<Proxy>().requests())
    }

    fn begin(self: Rc<Self>, down: Downstream, who: (Addr, Addr, &Addr), number: u64) {
        let (peer, local, socket) = (who.0, who.1, who.2.clone());
        self.open.set(self.open.get() + 1);
        tokio::task::spawn_local(async move {
            let conf = self.conf.clone();
            let udp = matches!(down, Downstream::Datagrams(_));
            if let Some(listening) = listen::find(&conf.addresses, &socket, udp, &local) {
                let server = listening.servers.default.clone();
                let at = (peer, local, listening.spec.addr.clone());
                let s = Session::new(conf.clone(), server, number, at, udp);
                if let Downstream::Datagrams(datagrams) = &down {
                    s.count_received(datagrams.first_bytes());
                }
                run(&s, down, listening).await;
            }
            self.open.set(self.open.get() - 1);
            self.idle.notify_waiters();
        });
    }

    async fn drained(&self) {
        while self.open.get() > 0 {
            self.idle.notified().await;
        }
    }
}

/// Runs a session to its end, log included.
async fn run(s: &Rc<Session>, mut down: Downstream, listening: &Listening) {
    let kind = if s.udp { "udp " } else { "" };
    s.log_bare(Level::Info, format_args!("{kind}client {} connected to {}", s.peer(), s.listen));
    let status = phases(s, &mut down, listening).await;
    s.status.set(status);
    s.trace.end();
    let server = s.server();
    for handler in server.chains.of(Phase::Log) {
        handler.run(s, &mut down).await;
    }
    // Who sees the end of the connection finds the line in the log.
    if let Downstream::Stream(stream) = &mut down {
        farewell(stream).await;
    }
}

async fn phases(s: &Rc<Session>, down: &mut Downstream, listening: &Listening) -> u16 {
    if let Downstream::Stream(stream) = &mut *down
        && let Err(status) = prepare(s, stream, listening).await
    {
        return status;
    }
    for phase in [Phase::PostAccept, Phase::Preaccess, Phase::Access] {
        if let Some(status) = pass_phase(s, phase, down).await {
            return status;
        }
    }
    if listening.ssl {
        let Downstream::Stream(stream) = std::mem::replace(down, Downstream::Gone) else {
            return 500;
        };
        match tls::accept(s, stream, listening).await {
            Ok(stream) => *down = Downstream::Stream(stream),
            Err(status) => return status,
        }
    }
    s.action.set("prereading client data");
    if let Some(status) = pass_phase(s, Phase::Preread, down).await {
        return status;
    }
    s.action.set("");
    match s.server().content {
        Some(content) => content.run(s, down).await,
        None => 500,
    }
}

async fn pass_phase(s: &Rc<Session>, phase: Phase, down: &mut Downstream) -> Option<u16> {
    for handler in s.server().chains.of(phase) {
        if let Some(status) = handler.run(s, down).await {
            return Some(status);
        }
    }
    None
}

/// Socket options, and what a balancer says first.
async fn prepare(s: &Rc<Session>, stream: &mut Stream, listening: &Listening) -> Result<(), u16> {
    let server = s.server();
    let core = server.scope.part::<CoreConf>();
    if core.tcp_nodelay() {
        // A closed peer has no such option.
        let _ = stream.socket().set_nodelay(true);
    }
    if !listening.proxy_protocol {
        return Ok(());
    }
    let (log, client) = (server.log(), s.peer());
    let who = Between { log: &log, number: s.number, client: &client, listen: &s.listen };
    let limit = Duration::from_millis(core.proxy_protocol_timeout_ms());
    match proxy_protocol::read(stream, limit, &who).await {
        Some(told) => {
            // Set once, before anybody reads it.
            let _ = s.told.set(told);
            Ok(())
        }
        None => Err(400),
    }
}
