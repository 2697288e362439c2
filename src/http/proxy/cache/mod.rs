//! `proxy_cache`: answers kept on disk and given again.
//!
//! ```text
//!  open ─┬─ Hit(stored) ───────────────────────────────▶ serve
//!        └─ Ask(caching) ─▶ passage ─▶ reply ─┬─ good for a while? ─▶ fill ─▶ rename into place
//!                                             ├─ 304 ─▶ renewed ─────────────▶ serve
//!                                             └─ failed ─▶ stale allowed? ───▶ serve
//! ```
//! Files are laid out as nginx lays them out, so a folder may be handed from one to the other.

pub mod conf;
mod file;
mod fill;
mod fresh;
mod serve;
pub mod zone;

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use md5::{Digest, Md5};

use crate::{
    base::{clock, log::Level},
    http::{
        body::Body,
        capture::Capture,
        method::Method,
        phase::{self, Flow, Phase},
        request::{Request, SubrequestSpec},
        template::Template,
    },
    net::http1::ResponseHead,
};

use super::{family::Family, forward::Conditional, settings::Proxy, target::Target};

pub use self::fill::Filling;
use self::{
    conf::CacheConf,
    file::Stored,
    zone::{Key, Turn, Zone},
};

/// What looking into the cache gave.
pub enum Opened {
    /// The location does not cache this request.
    Off,
    /// The answer is there.
    Hit(Stored, &'static str),
    /// The upstream has to be asked.
    Ask(Caching),
    /// The answer is an error page of ours, or the configuration is wrong for this request.
    Status(u16),
}

/// The cache's side of a request that goes to the upstream.
pub struct Caching {
    zone: Arc<Zone>,
    text: Bytes,
    key: Key,
    /// What is there but too old.
    stale: Option<Stored>,
    cacheable: bool,
    /// The others wait for this request, or go without.
    updating: bool,
}

impl Drop for Caching {
    fn drop(&mut self) {
        if self.updating {
            self.zone.end_update(&self.key);
        }
    }
}

/// Marks the request that renews an answer while the client gets the old one.
#[derive(Default)]
pub struct Background(Cell<bool>);

impl Background {
    pub fn is(r: &Rc<Request>) -> bool {
        r.is_subrequest() && r.kept::<Self>().0.get()
    }
}

/// Looks whether the answer is there.
pub async fn open(r: &Rc<Request>, conf: &Proxy, target: &Target) -> Opened {
    let cache = &conf.cache;
    let Some(Some(name)) = &cache.zone else { return Opened::Off };
    let name = name.eval(r);
    let methods = cache.methods.unwrap_or(Method::GET | Method::HEAD);
    if name.is_empty() || &name[..] == b"off" || !r.method.borrow().is(methods) {
        return Opened::Off;
    }
    let Some(zone) = conf::zone(&r.http().scope, &name) else {
        let name = bstr::BStr::new(&name);
        r.log(Level::Error, format_args!("cache \"{name}\" not found"));
        return Opened::Status(500);
    };
    let text = match &cache.key {
        Some(key) => key.eval(r),
        None => usual_key(target),
    };
    let key: Key = Md5::digest(&text).into();
    let caching = Caching { zone, text, key, stale: None, cacheable: true, updating: false };
    if any_true(r, cache.bypass.as_deref()) {
        tell(r, "BYPASS");
        return Opened::Ask(caching);
    }
    tell(r, "MISS");
    caching.look(r, cache).await
}

/// `$proxy_host` and the URI, as nginx has it without `proxy_cache_key`.
fn usual_key(target: &Target) -> Bytes {
    let scheme: &[u8] = if target.origin.tls { b"https://" } else { b"http://" };
    [scheme, &target.origin.host, &target.uri].concat().into()
}

fn any_true(r: &Rc<Request>, conditions: Option<&Vec<Template>>) -> bool {
    conditions.is_some_and(|conditions| conditions.iter().any(|condition| condition.is_true(r)))
}

fn tell(r: &Rc<Request>, status: &'static str) {
    r.upstream.borrow_mut().cache_status = status;
}

impl Caching {
    async fn look(mut self, r: &Rc<Request>, conf: &CacheConf) -> Opened {
        let uses = self.zone.touch(&self.key);
        if let Some(status) = self.zone.refused(&self.key) {
            tell(r, "HIT");
            return Opened::Status(status);
        }
        let deadline_ms = clock::mono_ms() + conf.lock_timeout_ms.unwrap_or(5000);
        loop {
            match self.find(r) {
                Some(stored) if stored.meta.valid_s >= clock::wall().secs => {
                    return Opened::Hit(stored, "HIT");
                }
                Some(stored) => return self.expired(r, conf, stored),
                None => {}
            }
            if uses < conf.min_uses.unwrap_or(1) {
                self.cacheable = false;
                break;
            }
            if conf.lock != Some(true) {
                break;
            }
            if self.zone.begin_update(&self.key, conf.lock_age_ms()) == Turn::Mine {
                self.updating = true;
                break;
            }
            // Somebody else asks: the answer will be for all who wait, if it comes in time.
            let left = deadline_ms.saturating_sub(clock::mono_ms());
            if left == 0 {
                self.cacheable = false;
                break;
            }
            let wait = Duration::from_millis(left.min(LOCK_LOOK_MS));
            let released = self.zone.released();
            // Whether it came or the time is up shows in the next round.
            let _ = tokio::time::timeout(wait, released).await;
            clock::update();
        }
        self.check_range(r, conf);
        Opened::Ask(self)
    }

    /// The file of this request's variant.
    fn find(&mut self, r: &Rc<Request>) -> Option<Stored> {
        let main: Key = Md5::digest(&self.text).into();
        let stored = file::open(&self.zone, &main, &self.text)?;
        if stored.meta.vary.is_empty() {
            self.key = main;
            return Some(stored);
        }
        let variant = file::variant(r, &self.text, &stored.meta.vary);
        if variant == stored.meta.variant {
            self.key = main;
            return Some(stored);
        }
        self.key = variant;
        file::open(&self.zone, &variant, &self.text).filter(|own| own.meta.variant == variant)
    }

    /// Too old: whether the client gets it all the same, and who renews it.
    fn expired(mut self, r: &Rc<Request>, conf: &CacheConf, stored: Stored) -> Opened {
        let now = clock::wall().secs;
        let meta = &stored.meta;
        let allowed = conf.use_stale() & conf::UPDATING != 0
            || meta.updating_s > 0 && meta.valid_s + meta.updating_s >= now;
        let background = Background::is(r);
        let mine =
            background || self.zone.begin_update(&self.key, conf.lock_age_ms()) == Turn::Mine;
        if !mine && allowed {
            return Opened::Hit(stored, "UPDATING");
        }
        self.updating = mine;
        if mine && allowed && !background && conf.background_update == Some(true) {
            // The turn goes over to the request that renews.
            self.updating = false;
            if renew(r) {
                return Opened::Hit(stored, "STALE");
            }
            self.zone.end_update(&self.key);
        }
        tell(r, "EXPIRED");
        self.stale = Some(stored);
        self.check_range(r, conf);
        Opened::Ask(self)
    }

    /// A request for a far part of a large answer does not fetch all of it.
    fn check_range(&mut self, r: &Rc<Request>, conf: &CacheConf) {
        let Some(most) = conf.max_range_offset else { return };
        let headers = r.headers_in.borrow();
        let Some(range) = headers.first("Range") else { return };
        let Some(text) = range.strip_prefix(b"bytes=") else { return };
        let first: Vec<u8> = text
            .iter()
            .copied()
            .skip_while(u8::is_ascii_whitespace)
            .take_while(u8::is_ascii_digit)
            .collect();
        let offset = crate::base::units::parse_number(&first);
        // A range that counts from the end is as far as can be.
        if most == 0 || offset.is_none_or(|offset| offset >= most) {
            self.cacheable = false;
        }
    }

    /// What is different about the request to the upstream.
    pub fn conditional(&self, r: &Rc<Request>, conf: &CacheConf) -> Option<Conditional> {
        if !self.cacheable {
            return None;
        }
        let stale = self.stale.as_ref().filter(|_| conf.revalidate == Some(true));
        let asks_head = r.method.borrow().is(Method::HEAD);
        Some(Conditional {
            modified_since: stale.and_then(|stored| stored.meta.modified_text()),
            none_match: stale.map(|s| s.meta.etag.clone()).filter(|etag| !etag.is_empty()),
            get: asks_head && conf.convert_head != Some(false),
        })
    }

    pub fn is_cacheable(&self) -> bool {
        self.cacheable
    }

    /// Takes the old answer, if the configuration prefers it to a failure of this kind.
    pub fn stale_for(&mut self, conf: &CacheConf, cause: u32) -> Option<Stored> {
        let stored = self.stale.as_ref()?;
        let now = clock::wall().secs;
        let meta = &stored.meta;
        let told = meta.error_s > 0 && meta.valid_s + meta.error_s >= now;
        if conf.use_stale() & cause != 0 || told {
            return self.stale.take();
        }
        None
    }

    /// The upstream says that the old answer is still right.
    pub fn renewed(&mut self, conf: &Proxy, head: &ResponseHead) -> Option<Stored> {
        if head.status != 304 || conf.cache.revalidate != Some(true) {
            return None;
        }
        let mut stored = self.stale.take()?;
        let now = clock::wall().secs;
        let mut fresh = fresh::judge(head, conf.ignore_headers(), now);
        if fresh.valid_s == 0 {
            let old = fresh::judge(&stored.head, conf.ignore_headers(), now);
            fresh.valid_s = old.valid_s;
            (fresh.updating_s, fresh.error_s) = (old.updating_s, old.error_s);
        }
        if fresh.valid_s == 0 {
            let span = conf.cache.valid_for(stored.head.status).unwrap_or(0);
            fresh.valid_s = if span > 0 { now + span } else { 0 };
        }
        if fresh.valid_s > 0 {
            stored.meta.valid_s = fresh.valid_s;
            (stored.meta.updating_s, stored.meta.error_s) = (fresh.updating_s, fresh.error_s);
            stored.meta.date = now;
            // A file that cannot be changed is asked about again.
            let _ = file::update(&self.zone, &self.key, &stored.meta);
        }
        Some(stored)
    }

    /// An error page of ours takes the answer's place: that is remembered for as long as the
    /// answer would be.
    pub fn refuse(&self, r: &Rc<Request>, conf: &Proxy, head: &ResponseHead) {
        if !self.cacheable || any_true(r, conf.cache.no_cache.as_deref()) {
            return;
        }
        let now = clock::wall().secs;
        let fresh = fresh::judge(head, conf.ignore_headers(), now);
        let valid_s = match fresh.valid_s {
            0 => conf.cache.valid_for(head.status).filter(|span| *span > 0).map(|span| now + span),
            until => Some(until),
        };
        if let Some(valid_s) = valid_s.filter(|_| fresh.cacheable) {
            self.zone.refuse(&self.key, head.status, valid_s);
        }
    }

    /// Begins to keep the answer, if it may be kept.
    pub fn fill(
        mut self,
        r: &Rc<Request>,
        conf: &Proxy,
        head: &ResponseHead,
        is_head: bool,
    ) -> Option<Filling> {
        if !self.cacheable || any_true(r, conf.cache.no_cache.as_deref()) {
            return None;
        }
        let now = clock::wall().secs;
        let mut fresh = fresh::judge(head, conf.ignore_headers(), now);
        if !fresh.cacheable {
            return None;
        }
        if fresh.valid_s == 0 {
            let span = conf.cache.valid_for(head.status).filter(|span| *span > 0)?;
            fresh.valid_s = now + span;
        }
        let mut meta = file::Meta::of(head, &fresh, now);
        if !fresh.vary.is_empty() {
            meta.variant = file::variant(r, &self.text, &fresh.vary);
            meta.vary = fresh.vary;
        }
        let main: Key = Md5::digest(&self.text).into();
        if self.key != main && self.key != meta.variant {
            // It was looked for under what another answer varied by; this one is the main one.
            if std::mem::take(&mut self.updating) {
                self.zone.end_update(&self.key);
            }
            self.key = main;
        }
        match Filling::begin(r, self, meta, head, is_head) {
            Ok(filling) => Some(filling),
            Err(error) => {
                let errno = crate::base::errno::Errno(&error);
                r.log(Level::Crit, format_args!("cache file could not be made {errno}"));
                None
            }
        }
    }
}

/// Sends an answer from the cache.
pub async fn send(
    r: &Rc<Request>,
    family: Family,
    conf: &Proxy,
    stored: Stored,
    status: &'static str,
) -> Flow {
    tell(r, status);
    serve::send(r, family, conf, stored).await
}

/// Starts a request beside this one that renews the answer.
fn renew(r: &Rc<Request>) -> bool {
    let spec = SubrequestSpec {
        method: Method::get(),
        uri: r.uri.borrow().clone(),
        args: r.args.borrow().clone(),
        headers: r.headers_in.borrow().clone(),
        body: Body::ready(Bytes::new()),
        vars: Rc::new(r.vars.borrow().duplicate()),
        capture: Some(Rc::new(Capture::default())),
    };
    let Some(sub) = Request::subrequest(r, spec) else { return false };
    sub.set_location(r.location());
    sub.valid_unparsed_uri.set(r.valid_unparsed_uri.get());
    sub.kept::<Background>().0.set(true);
    tokio::task::spawn_local(async move { phase::run(&sub, Phase::Content).await });
    true
}

const LOCK_LOOK_MS: u64 = 500;
