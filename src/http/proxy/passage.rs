//! The way of one request through its upstream's peers until one of them answers.
//!
//! ```text
//!  ┌▶ pick (balancer or group) ─▶ connect (or a kept link) ─▶ exchange ─▶ Reply
//!  └──── proxy_next_upstream allows it ◀── Fault ◀──┴────────────┘
//! ```

use std::{fmt, future::Future, os::fd::AsRawFd, rc::Rc, sync::Arc, time::Duration};

use bstr::BString;
use bytes::Bytes;

use crate::{
    base::{clock, log::Level},
    http::{
        balancer::{self, Balancer, LastFailure, Turn, Verdict},
        modules::sticky,
        request::Request,
    },
    net::{
        addr::Addr,
        dial::{self, Dial, DialError},
        http1::{ResponseHead, UpstreamError},
    },
    upstream::{Current, Picked, Report, ReportKind, Step, Tries},
};

use super::{
    cache::{Background, Caching, Filling},
    exchange::{self, Limits, Reply},
    family::Family,
    fault::{During, End, Fault},
    forward::{Choices, Forward},
    h2,
    link::{Kept, Key, Link},
    memc,
    outgoing::{self, Outgoing},
    reading::Reading,
    secure,
    sending::Unsent,
    settings::{Proxy, Version, next},
    store::Storing,
    target::{self, Target},
};

/// One request on its way.
pub struct Passage<'a> {
    pub r: &'a Rc<Request>,
    conf: &'a Proxy,
    pub target: Target,
    pub outgoing: Outgoing,
    tries: Tries,
    /// nginx's `peer.tries`: how many tries are left, the present one included.
    left: usize,
    started_ms: u64,
    seat: Option<Seat>,
    /// Names the connection of the try in debug lines.
    number: i32,
    reused: bool,
    /// The request went out, at least in part.
    sent: bool,
    balancer: Option<Arc<dyn Balancer>>,
    turn: Rc<Turn>,
    choices: Choices,
    /// The last try found no live peer.
    pub no_live: bool,
    /// Until the answer is there: what the cache wants of it.
    pub caching: Option<Box<Caching>>,
    /// Where a copy of the answer goes.
    filling: Option<Box<Filling>>,
    storing: Option<Box<Storing>>,
    pub client_lost: bool,
    /// Why the last try failed, of `next`.
    pub last_cause: u32,
}

/// Who serves the present try.
enum Seat {
    Picked(Picked),
    /// By a balancer, outside the group's own counting.
    Chosen(Addr),
}

impl<'a> Passage<'a> {
    pub fn new(
        r: &'a Rc<Request>,
        conf: &'a Proxy,
        target: Target,
        family: Family,
        caching: Option<Caching>,
    ) -> Result<Box<Self>, u16> {
        let seed = balancer::seed(r, &target.group);
        let mut choices = Choices { family, ..Choices::default() };
        if let Some(caching) = &caching {
            choices.conditional = caching.conditional(r, &conf.cache);
        }
        let mut passage = Self::forward(r, conf, Forward { target, seed, choices })?;
        passage.caching = caching.map(Box::new);
        Ok(passage)
    }

    /// The way to a target chosen at run time.
    pub fn forward(r: &'a Rc<Request>, conf: &'a Proxy, to: Forward) -> Result<Box<Self>, u16> {
        let Forward { target, seed, mut choices } = to;
        let outgoing = Outgoing::build(r, conf, &target, &choices)?;
        let tries = target.group.tries(seed);
        let most = choices.tries.unwrap_or(conf.next_upstream_tries() as usize);
        let turn = Turn::default();
        turn.timeouts.set(choices.timeouts);
        turn.keepalive.replace(choices.keepalive.take());
        let balancer = balancer::of(&target.group);
        // A script may know peers where the group lists none.
        let listed = tries.left().max(usize::from(balancer.is_some()));
        let left = if most > 0 { listed.min(most) } else { listed };
        r.ext::<Current>().set(target.group.clone());
        Ok(Box::new(Self {
            r,
            conf,
            balancer,
            target,
            outgoing,
            tries,
            left,
            started_ms: clock::mono_ms(),
            seat: None,
            number: 0,
            reused: false,
            sent: false,
            turn: Rc::new(turn),
            choices,
            no_live: false,
            caching: None,
            filling: None,
            storing: None,
            client_lost: Background::is(r),
            last_cause: 0,
        }))
    }

    /// The settings of its family.
    pub fn conf(&self) -> &'a Proxy {
        self.conf
    }

    pub fn family(&self) -> Family {
        self.choices.family
    }

    /// Whether the peers are spoken to in HTTP/2.
    pub fn http2(&self) -> bool {
        outgoing::version(self.conf(), &self.choices) == Version::Http2
    }

    /// gRPC's status is a trailer.
    pub fn passes_trailers(&self) -> bool {
        self.choices.family == Family::Grpc || self.conf().pass_trailers()
    }

    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// Lets the cache have a copy of the answer, if it wants one.
    pub fn keep_answer(&mut self, head: &ResponseHead) {
        if let Some(caching) = self.caching.take() {
            let filling = caching.fill(self.r, self.conf(), head, self.outgoing.is_head);
            self.filling = filling.map(Box::new);
        }
    }

    /// Lets a file have a copy of the answer, if the location stores answers.
    pub fn store_answer(&mut self, head: &ResponseHead) {
        self.storing = Storing::begin(self.r, self.conf(), head).map(Box::new);
    }

    pub fn keeps_answer(&self) -> bool {
        self.filling.is_some() || self.storing.is_some()
    }

    pub fn keep_piece(&mut self, data: &[u8]) {
        if let Some(filling) = &mut self.filling {
            filling.write(self.r, data);
        }
        if let Some(storing) = &mut self.storing {
            storing.write(data);
        }
    }

    /// The answer came to its end.
    pub fn answer_complete(&mut self) {
        if let Some(filling) = self.filling.take() {
            filling.finish(self.r);
        }
        if let Some(storing) = self.storing.take() {
            storing.finish(self.r);
        }
    }

    /// Tries peers until one gives a usable answer; otherwise the status to end with.
    pub async fn answer(&mut self) -> Result<Box<Reply>, u16> {
        loop {
            let fault = match self.attempt().await {
                Ok(reply) => match self.unwanted(&reply) {
                    None => return Ok(reply),
                    Some(fault) => fault,
                },
                Err(End::Try(fault)) => fault,
                Err(End::Client) => return Err(self.client_gone()),
                Err(End::Status(status)) => {
                    self.release(false);
                    return Err(status);
                }
            };
            self.go_on(&fault)?;
        }
    }

    /// Runs a step of the exchange while watching whether the client is still there.
    pub async fn guard<T>(&self, step: impl Future<Output = T>) -> Result<T, End> {
        let wanted = self.caching.as_ref().is_some_and(|caching| caching.is_cacheable());
        if wanted
            || self.keeps_answer()
            || self.conf().ignore_client_abort()
            || self.r.capture.is_some()
        {
            return Ok(step.await);
        }
        tokio::select! {
            biased;
            done = step => Ok(done),
            _ = self.r.conn.closed_by_client() => Err(End::Client),
        }
    }

    /// The client left: the upstream connection goes too, and the request ends as 499.
    pub fn client_gone(&mut self) -> u16 {
        self.r.log(
            Level::Info,
            format_args!(
                "epoll_wait() reported that client prematurely closed connection, \
                 so upstream connection is closed too"
            ),
        );
        self.release(false);
        499
    }

    /// The answer is over, whole or not; the peer is free again.
    pub fn release(&mut self, failed: bool) {
        self.learn(sticky::Moment::End);
        self.let_go(failed);
    }

    /// Tells `sticky learn` who serves the request.
    pub fn learn(&self, moment: sticky::Moment) {
        if let Some(Seat::Picked(picked)) = &self.seat {
            sticky::learn(self.r, &self.target.group, picked.peer(), moment);
        }
    }

    fn let_go(&mut self, failed: bool) {
        self.r.upstream_note(|attempt, took_ms| {
            attempt.response_ms.get_or_insert(took_ms);
        });
        if self.turn.traced.take() {
            self.trace(format_args!("not saving connection {:X}", self.number));
        }
        match self.seat.take() {
            Some(Seat::Picked(picked)) => {
                self.left = if picked.is_single() { 0 } else { self.left.saturating_sub(1) };
                if self.tries.release(picked, failed, clock::wall().secs) {
                    self.r.log(Level::Warn, format_args!("upstream server temporarily disabled"));
                }
            }
            Some(Seat::Chosen(_)) => self.left = self.left.saturating_sub(1),
            None => {}
        }
        self.r.conn.action.set("sending to client");
    }

    /// Keeps the connection for later requests, if the group or the balancer wants that.
    pub fn keep(&self, link: Link) {
        let group = &self.target.group;
        if let Some(conf) = self.turn.keepalive.borrow().as_ref().or(group.keepalive()) {
            if !self.turn.traced.get() {
                link.keep(group, conf);
                return;
            }
            let (number, key) = (link.number(), link.key.clone());
            let kept = link.keep(group, conf);
            if kept != Kept::No {
                self.turn.traced.set(false);
                if let Kept::Instead(oldest) = kept {
                    self.trace(format_args!("closing connection {oldest:X}"));
                }
                self.trace(format_args!("saving connection {number:X}, {key}"));
            }
        }
    }

    /// The debug lines of lua-nginx-module about kept connections.
    fn trace(&self, doing: fmt::Arguments<'_>) {
        self.r.log(Level::Debug, format_args!("lua balancer: keepalive {doing}"));
    }

    /// The name a balancer chose for the peer.
    pub fn chosen_host(&self) -> Option<BString> {
        self.turn.peer.borrow().as_ref().and_then(|chosen| chosen.host.clone())
    }

    pub fn enters(&mut self, during: During) {
        self.r.conn.action.set(during.words());
    }

    pub fn limits(&self) -> Limits {
        let (conf, own) = (self.conf(), self.turn.timeouts.get());
        let span = |own: Option<u64>, usual: u64| Duration::from_millis(own.unwrap_or(usual));
        Limits {
            connect: span(own.connect_ms, conf.connect_timeout_ms()),
            send: span(own.send_ms, conf.send_timeout_ms()),
            read: span(own.read_ms, conf.read_timeout_ms()),
            head_bytes: conf.buffer_size(),
        }
    }

    /// Tells those who judge peers by live traffic.
    pub fn report(&self, kind: ReportKind, step: Step) {
        let group = &self.target.group;
        if !group.listens() {
            return;
        }
        let peer = match &self.seat {
            Some(Seat::Picked(picked)) => Some(picked.peer().clone()),
            Some(Seat::Chosen(addr)) => {
                let snapshot = group.snapshot();
                let peers = snapshot.lists().flat_map(|(_, set)| set.peers());
                peers.into_iter().find(|peer| peer.conf.addr == *addr).cloned()
            }
            None => None,
        };
        if let Some(peer) = peer {
            let mut took = Duration::ZERO;
            self.r.upstream_note(|_, took_ms| took = Duration::from_millis(took_ms));
            group.report(&Report { peer, kind, step, reused: self.reused, took });
        }
    }

    async fn attempt(&mut self) -> Result<Box<Reply>, End> {
        self.sent = false;
        self.reused = false;
        self.enters(During::Connecting);
        let addr = self.take_seat()?;
        let link = self.connect(&addr).await?;
        self.r.upstream_note(|attempt, took_ms| attempt.connect_ms = Some(took_ms));
        self.reused = link.reused;
        self.sent = true;
        // nginx says so until the first byte of the answer has come.
        self.enters(During::Sending);
        let reply = self.exchange(link).await;
        self.enters(During::ReadingHead);
        let reply = reply?;
        self.r.upstream_note(|attempt, took_ms| {
            attempt.header_ms = Some(took_ms);
            attempt.bytes_received = reply.received;
            attempt.bytes_sent = reply.link.sent;
            attempt.status = if reply.headless { 200 } else { reply.head.status };
        });
        self.report(ReportKind::Status(reply.head.status), Step::Header);
        for text in &reply.ignored {
            self.r.log(Level::Warn, format_args!("{text}"));
        }
        if reply.headless {
            let error = UpstreamError::NoStatusLine;
            self.r.log(Level::Error, format_args!("{error}"));
        }
        Ok(reply)
    }

    async fn exchange(&self, link: Link) -> Result<Box<Reply>, End> {
        let lost = |error: std::io::Error| End::Status(outgoing::file_lost(self.r, &error));
        if self.http2() {
            let Outgoing { head, body, is_head, .. } = &self.outgoing;
            let source = body.source(self.r).map_err(lost)?;
            let call = h2::call::run(link, head, source, *is_head, self.limits());
            return self.guard(Box::pin(call)).await?;
        }
        let limits = self.limits();
        if let Some(command) = &self.choices.command {
            let reply = memc::reply::run(link, command, &limits);
            return self.guard(Box::pin(reply)).await?.map_err(End::Try);
        }
        let unsent = Unsent::new(self.r, &self.outgoing).map_err(lost)?;
        let reading = Reading::new(self.r, self.family(), limits.head_bytes);
        self.guard(exchange::run(link, unsent, reading, &limits)).await?
    }

    /// Chooses the peer of this try.
    fn take_seat(&mut self) -> Result<Addr, End> {
        if let Some(balancer) = self.balancer.clone()
            && let Some(addr) = self.ask_balancer(&*balancer)?
        {
            return Ok(addr);
        }
        match self.tries.next(clock::wall().secs) {
            Ok(picked) => {
                let conf = &picked.peer().conf;
                let addr = conf.addr.clone();
                self.r.upstream_try(Bytes::copy_from_slice(conf.name.as_bytes()));
                sticky::seated(self.r, &self.target.group, picked.peer());
                self.seat = Some(Seat::Picked(picked));
                Ok(addr)
            }
            Err(none) => {
                self.r.upstream_try(Vec::from(none.group).into());
                Err(End::Try(Fault::NoLive))
            }
        }
    }

    fn ask_balancer(&mut self, balancer: &dyn Balancer) -> Result<Option<Addr>, End> {
        let turn = self.turn.clone();
        turn.tries_left.set(self.left);
        turn.tries_max.set(self.conf().next_upstream_tries() as usize);
        *turn.peer.borrow_mut() = None;
        *turn.bind.borrow_mut() = None;
        turn.idle_max.set(balancer::idle_max(&self.target.group));
        turn.more_tries.set(0);
        let group = Bytes::copy_from_slice(self.target.group.host());
        turn.tries_made.set(turn.tries_made.get() + 1);
        let verdict = balancer::choose(balancer, self.r, &turn);
        if turn.recreate_request.replace(false) {
            self.outgoing = Outgoing::build(self.r, self.conf(), &self.target, &self.choices)
                .map_err(End::Status)?;
        }
        match verdict {
            Verdict::Go => {}
            Verdict::Status(status) => return Err(End::Status(status)),
            Verdict::Busy => {
                self.r.upstream_try(group);
                return Err(End::Try(Fault::NoLive));
            }
            Verdict::Declined => {
                self.r.upstream_try(group);
                return Err(End::Try(Fault::Status(502)));
            }
        }
        let Some(chosen) = turn.peer.borrow().clone() else {
            if self.target.group.servers().is_empty() {
                self.r.log(Level::Error, format_args!("lua balancer: no peer set"));
                return Err(End::Status(500));
            }
            return Ok(None);
        };
        self.left += turn.more_tries.get();
        self.r.upstream_try(chosen.addr.to_string().into());
        self.seat = Some(Seat::Chosen(chosen.addr.clone()));
        Ok(Some(chosen.addr))
    }

    async fn connect(&mut self, addr: &Addr) -> Result<Link, End> {
        let tls = self.turn.tls.get().unwrap_or(self.target.origin.tls);
        let key = self.key(addr, tls);
        let kept =
            self.turn.keepalive.borrow().is_some() || self.target.group.keepalive().is_some();
        let traced = self.turn.traced.get();
        self.number = 0;
        if kept && let Some(link) = Link::take(&self.target.group, &key, tls, self.http2()) {
            self.number = link.number();
            if traced {
                self.trace(format_args!("reusing connection {:X}, {key}", self.number));
            }
            return Ok(link);
        }
        if traced {
            self.trace(format_args!("no free connection, {key}"));
        }
        Box::pin(self.dial(addr, key, tls)).await
    }

    /// A new connection to the peer.
    async fn dial(&mut self, addr: &Addr, key: Key, tls: bool) -> Result<Link, End> {
        let how = Dial {
            bind: key.local.clone().map_or_else(|| self.local_address(), |own| Ok(Some(own)))?,
            timeout: Some(self.limits().connect),
            keepalive: self.conf().socket_keepalive(),
        };
        let dialed = self.guard(dial::connect(addr, &how)).await?;
        clock::update();
        let stream = match dialed {
            // A local address that cannot be had is no fault of the peer.
            Err(error @ DialError::Bind { .. }) => {
                self.r.log(Level::Crit, format_args!("{error}"));
                return Err(End::Status(500));
            }
            dialed => dialed.map_err(|error| End::Try(Fault::Connect(error)))?,
        };
        // A socket that refuses the option works all the same.
        let _ = stream.socket().set_nodelay(true);
        self.number = stream.socket().as_raw_fd();
        if !tls {
            return Ok(Link::new(stream, key));
        }
        self.enters(During::Handshake);
        let shaken = Box::pin(secure::handshake(self, stream));
        let limited = tokio::time::timeout(self.limits().connect, shaken);
        let shaken = self.guard(limited).await?;
        clock::update();
        match shaken {
            Err(_) => Err(End::Try(Fault::Timeout(During::Handshake))),
            Ok(Err(fault)) => Err(End::Try(fault)),
            Ok(Ok(stream)) => Ok(Link::new(stream, key)),
        }
    }

    /// What a connection to `addr` is good for.
    fn key(&self, addr: &Addr, tls: bool) -> Key {
        let name = self.turn.keepalive.borrow().is_some().then(|| match tls {
            true => secure::shown_name(self),
            false => self.chosen_host().map_or_else(Bytes::new, |host| Vec::from(host).into()),
        });
        Key { addr: addr.clone(), name, local: self.turn.bind.borrow().clone() }
    }

    /// The address of `proxy_bind`, which may depend on the request.
    fn local_address(&self) -> Result<Option<Addr>, End> {
        let Some(Some(bind)) = &self.conf().bind else { return Ok(None) };
        let text = bind.eval(self.r);
        if text.is_empty() {
            return Ok(None);
        }
        target::local(&text).map(Some).ok_or_else(|| {
            let text = bstr::BStr::new(&text);
            self.r.log(Level::Error, format_args!("invalid local address \"{text}\""));
            End::Status(500)
        })
    }

    /// A status that `proxy_next_upstream` names counts as a failure while there are tries left.
    fn unwanted(&self, reply: &Reply) -> Option<Fault> {
        let status = reply.head.status;
        let cause = next::of_status(status)?;
        (self.left > 1 && self.may_repeat(cause)).then_some(Fault::Status(status))
    }

    /// Whether the configuration lets this cause move on to another peer.
    fn may_repeat(&self, cause: u32) -> bool {
        let conf = self.conf();
        let repeating =
            if self.sent && !self.outgoing.repeatable { next::NON_IDEMPOTENT } else { 0 };
        let cause = cause | repeating;
        let limit_ms = conf.next_upstream_timeout_ms();
        let late = limit_ms > 0 && clock::mono_ms().saturating_sub(self.started_ms) >= limit_ms;
        let wanted = self.choices.next_upstream.unwrap_or(conf.next_upstream());
        wanted & cause == cause && !late && self.outgoing.body.is_whole()
    }

    /// After a failed try: goes on to the next peer, or gives the status to end with.
    fn go_on(&mut self, fault: &Fault) -> Result<(), u16> {
        if let Some(during) = fault.during() {
            self.enters(during);
        }
        if let Some((level, text)) = fault.message() {
            self.r.log(level, format_args!("{text}"));
        }
        let (kind, step) = fault.report();
        if !matches!(fault, Fault::Status(_)) {
            self.report(kind, step);
        }
        let status = fault.status();
        self.no_live = matches!(fault, Fault::NoLive);
        self.r.upstream_note(|attempt, _| attempt.status = status);
        let kept = self.reused && fault.cause() == next::ERROR;
        self.turn.last_failure.set(Some(LastFailure { failed: fault.blames_peer(), status, kept }));
        let counted = matches!(self.seat, Some(Seat::Picked(_)))
            || self.balancer.as_ref().is_some_and(|balancer| balancer.forgives_kept());
        self.let_go(fault.blames_peer());
        if counted && kept {
            // The peer may have closed an idle connection just then: that try was free.
            self.left += 1;
        }
        if self.r.conn.failed() && self.r.capture.is_none() {
            return Err(499);
        }
        if self.left == 0 || !self.may_repeat(fault.cause()) {
            return Err(status);
        }
        Ok(())
    }
}
