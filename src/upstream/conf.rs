//! Directives of `upstream {}`, and the groups that `proxy_pass` names.
//!
//! ```text
//!  upstream foo { server …; hash …; }  ─▶ declare ─ rows fill Draft ─▶ Group::fill(Body)
//!  proxy_pass http://foo               ─▶ mention(b, d, url) ─▶ Arc<Group>, perhaps unfilled yet
//!  end of the configuration            ─▶ finish(b): resolves the implicit groups
//! ```

use std::sync::Arc;

use bstr::{BString, ByteSlice};

use super::group::{Body, Group, Realm, Server};
use super::keepalive::KeepaliveConf;
use super::pick::Algo;
use super::registry::{GroupError, Groups, Mention};
use super::resolve::{Question, Wanted};
use crate::base::units;
use crate::conf::row::{
    HTTP, Row, STREAM, STREAM_UPSTREAM, UPSTREAM, args, at_least, block, row, take,
};
use crate::conf::{Builder, Diag, Directive, Part, Scope};
use crate::net::addr::{Url, Want};

pub const ROWS: &[Row] = &[
    block("upstream", HTTP, take(1), UPSTREAM, set_upstream),
    block("upstream", STREAM, take(1), STREAM_UPSTREAM, set_upstream),
    row("server", BOTH, at_least(1), set_server),
    row("zone", BOTH, args(1, 2), set_zone),
    row("keepalive", UPSTREAM, args(1, 2), set_keepalive),
    row("keepalive_requests", UPSTREAM, take(1), |b, d| {
        d.number_slot(&mut b.part::<Draft>().keepalive_requests)
    }),
    row("keepalive_time", UPSTREAM, take(1), |b, d| {
        d.msec_slot(&mut b.part::<Draft>().keepalive_time_ms)
    }),
    row("keepalive_timeout", UPSTREAM, take(1), |b, d| {
        d.msec_slot(&mut b.part::<Draft>().keepalive_timeout_ms)
    }),
    row("ip_hash", UPSTREAM, take(0), |b, _| set_algo(b, Algo::IpHash, NO_BACKUP)),
    row("least_conn", BOTH, take(0), |b, _| set_algo(b, Algo::LeastConn, ALL)),
    row("random", BOTH, args(0, 2), set_random),
];

/// The groups of the configuration, a part of its main level.
#[derive(Default)]
pub struct UpstreamConf {
    pub groups: Groups,
}

impl Part for UpstreamConf {
    fn inherit(&mut self, _: &Self) {}
}

/// The group an address of `proxy_pass` and its kind stands for. `url` was read without resolving;
/// the group's servers may become known only later in the file.
pub fn mention(b: &mut Builder<'_>, d: &Directive, url: &Url) -> Result<Arc<Group>, Diag> {
    mention_in(Realm::Http, b, d, url)
}

/// The same among the groups of one realm.
pub fn mention_in(
    realm: Realm,
    b: &mut Builder<'_>,
    d: &Directive,
    url: &Url,
) -> Result<Arc<Group>, Diag> {
    let literal = url.addrs.len() == 1 && (url.port > 0 || url.is_unix());
    let named = Mention {
        realm,
        port: url.port,
        no_port: url.no_port,
        addr: literal.then(|| url.addrs[0].clone()),
        place: Some(d.at.place),
    };
    b.main::<UpstreamConf>().groups.mention(url.host.as_ref(), named).map_err(complaint)
}

/// Gives every group that no `upstream {}` described its servers. Called when all files are read.
pub fn finish(b: &mut Builder<'_>) -> Result<(), Diag> {
    let mut bad = Vec::new();
    for entry in b.main::<UpstreamConf>().groups.unfilled() {
        let body = match &entry.addr {
            Some(addr) => Ok(bare(addr.clone())),
            None => resolved(&entry.group),
        };
        match body {
            Ok(body) => entry.group.fill(body),
            Err(text) => {
                let mut diag = Diag::emerg(text);
                diag.place = entry.place;
                bad.push(diag);
            }
        }
    }
    bad.into_iter().for_each(|diag| b.report(diag));
    Ok(())
}

/// What the rows of one `upstream {}` collect.
#[derive(Default)]
struct Draft {
    servers: Vec<Server>,
    algo: Option<Algo>,
    /// Something chooses peers already: a method, `keepalive`, a script.
    has_method: bool,
    /// A script chooses peers, so none need be listed.
    serverless: bool,
    /// Its servers come from elsewhere.
    filled_later: bool,
    /// Parameters of `server` that the method does not take.
    refused: &'static [&'static str],
    zone: Option<BString>,
    keepalive: Option<u64>,
    keepalive_requests: Option<u64>,
    keepalive_time_ms: Option<u64>,
    keepalive_timeout_ms: Option<u64>,
}

impl Part for Draft {
    fn inherit(&mut self, _: &Self) {}
}

impl Draft {
    fn keepalive(&self) -> Option<KeepaliveConf> {
        let defaults = KeepaliveConf::with_max_idle(self.keepalive? as usize);
        Some(KeepaliveConf {
            max_requests: self.keepalive_requests.unwrap_or(defaults.max_requests),
            max_age_ms: self.keepalive_time_ms.unwrap_or(defaults.max_age_ms),
            idle_timeout_ms: self.keepalive_timeout_ms.unwrap_or(defaults.idle_timeout_ms),
            ..defaults
        })
    }
}

fn set_upstream(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let realm = if b.inside(STREAM) { Realm::Stream } else { Realm::Http };
    let declared = b.main::<UpstreamConf>().groups.declare(realm, d.arg(1), Some(d.at.place));
    let mut scope = b.block(d, Scope::new());
    let draft = std::mem::take(scope.part_mut::<Draft>());
    let group = declared.map_err(|error| complaint(error).at(d.at.place))?;
    if draft.servers.is_empty() && !draft.serverless && !draft.filled_later {
        if !b.is_clean(d) {
            return Ok(());
        }
        return Err(Diag::emerg("no servers are inside upstream"));
    }
    let only_backups =
        !draft.servers.is_empty() && !draft.filled_later && draft.servers.iter().all(|s| s.backup);
    let keepalive = draft.keepalive();
    group.fill(Body {
        servers: draft.servers,
        algo: draft.algo.unwrap_or_default(),
        keepalive,
        zone: draft.zone,
        explicit: true,
        scope,
        unlisted: false,
    });
    if only_backups {
        let mut diag = Diag::emerg(format!("no servers in upstream \"{}\"", d.arg(1)));
        diag.place = Some(d.at.place);
        return Err(diag);
    }
    Ok(())
}

fn set_server(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut server = Server::new(d.arg(1).to_owned(), Vec::new());
    let default_port = if b.inside(STREAM) { 0 } else { 80 };
    let done = read_server(&mut server, default_port, b.part::<Draft>().refused, d);
    // A wrong server still counts, so that "no servers are inside" does not come on top.
    b.part::<Draft>().servers.push(server);
    done
}

fn read_server(
    server: &mut Server,
    default_port: u16,
    refused: Refused,
    d: &Directive,
) -> Result<(), Diag> {
    for (index, word) in d.words.iter().enumerate().skip(2) {
        let (key, value) = match word.text.find_byte(b'=') {
            Some(at) => word.text.split_at(at + 1),
            None => (word.text.as_slice(), &b""[..]),
        };
        if refused.iter().any(|r| r.as_bytes() == key) {
            let text = format!("balancing method does not support parameter \"{}\"", word.text);
            return Err(d.wrong_arg(index, text));
        }
        set_parameter(server, key, value).ok_or_else(|| d.bad_param(index))?;
    }
    server.wanted = wanted(d)?;
    match &server.route {
        Some(route) if route.is_empty() => return Err(Diag::emerg("route is empty")),
        Some(route) if route.len() > ROUTE_MAX_BYTES => {
            return Err(Diag::emerg(format!("route is longer than {ROUTE_MAX_BYTES}")));
        }
        _ => {}
    }
    read_address(server, default_port, d)
}

/// An address, a name to resolve now, or one to be asked for while requests run.
fn read_address(server: &mut Server, default_port: u16, d: &Directive) -> Result<(), Diag> {
    let asked = server.wanted.take();
    let want = Want { default_port, no_resolve: asked.is_some(), ..Want::default() };
    let text = |e| d.wrong_arg(1, format!("{e} in upstream \"{}\"", d.arg(1)));
    let url = Url::parse(d.arg(1), &want).map_err(text)?;
    if let Some(Wanted { question: Question { service: Some(_), .. }, .. }) = &asked {
        let wrong = |why| Err(d.wrong_arg(1, format!("service upstream \"{}\" {why}", d.arg(1))));
        if !url.no_port {
            return wrong("may not have port");
        }
        if !url.addrs.is_empty() {
            return wrong("requires domain name");
        }
    }
    let is_service = asked.as_ref().is_some_and(|asked| asked.question.service.is_some());
    if url.no_port && default_port == 0 && !url.is_unix() && !is_service {
        return Err(d.wrong_arg(1, format!("no port in upstream \"{}\"", d.arg(1))));
    }
    if url.addrs.is_empty()
        && let Some(mut wanted) = asked
    {
        wanted.question.name = url.host.to_string();
        wanted.port = url.port;
        server.wanted = Some(wanted);
    }
    server.addrs = url.addrs;
    Ok(())
}

/// The `resolve` and `service=` of a line; the name comes later.
fn wanted(d: &Directive) -> Result<Option<Wanted>, Diag> {
    let resolve = (2..=d.arg_count()).any(|index| d.arg(index) == "resolve");
    let mut service = None;
    for index in 2..=d.arg_count() {
        let Some(text) = d.arg(index).strip_prefix(b"service=") else { continue };
        if text.is_empty() {
            return Err(d.wrong_arg(index, "service is empty"));
        }
        if !resolve {
            let text = format!("service upstream \"{}\" requires \"resolve\" parameter", d.arg(1));
            return Err(d.wrong_arg(index, text));
        }
        service = Some(text.to_str_lossy().into_owned());
    }
    let question = Question { name: String::new(), service };
    Ok(resolve.then_some(Wanted { question, port: 0 }))
}

/// Reads one parameter of `server`; `None` makes it an `invalid parameter`.
fn set_parameter(server: &mut Server, key: &[u8], value: &[u8]) -> Option<()> {
    let number = || units::parse_number(value);
    match key {
        b"weight=" => server.weight = number().filter(|w| *w > 0)?.try_into().ok()?,
        b"max_conns=" => server.max_conns = number()?.try_into().ok()?,
        b"max_fails=" => server.max_fails = number()?.try_into().ok()?,
        b"fail_timeout=" => server.fail_timeout_s = units::parse_sec(value)?.try_into().ok()?,
        b"slow_start=" => server.slow_start_ms = units::parse_msec(value)?,
        b"backup" => server.backup = true,
        b"down" => server.down = true,
        b"drain" => server.drain = true,
        b"route=" => server.route = Some(value.into()),
        // Those that belong together are read together.
        b"resolve" | b"service=" => {}
        _ => return None,
    }
    Some(())
}

fn set_zone(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if d.arg(1).is_empty() {
        return Err(d.wrong_arg(1, "invalid zone name \"\""));
    }
    if d.arg_count() == 2 {
        let size = units::parse_size(d.arg(2));
        let text = match size {
            None => format!("invalid zone size \"{}\"", d.arg(2)),
            Some(size) if size < ZONE_LEAST_BYTES => format!("zone \"{}\" is too small", d.arg(1)),
            Some(_) => String::new(),
        };
        if !text.is_empty() {
            return Err(d.wrong_arg(2, text));
        }
    }
    d.str_slot(&mut b.part::<Draft>().zone)
}

fn set_keepalive(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    d.once(&mut b.part::<Draft>().keepalive, |d| {
        let text = || format!("invalid value \"{}\" in \"keepalive\" directive", d.arg(1));
        units::parse_number(d.arg(1)).filter(|n| *n > 0).ok_or_else(|| d.wrong_arg(1, text()))
    })?;
    b.part::<Draft>().has_method = true;
    match d.arg_count() {
        2 if d.arg(2) != "local" => Err(d.bad_param(2)),
        _ => Ok(()),
    }
}

/// `hash`; the row is that of whoever can evaluate the key.
pub fn set_hash(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let consistent = match d.arg(2).as_bytes() {
        b"" if d.arg_count() == 1 => false,
        b"consistent" => true,
        _ => return Err(d.bad_param(2)),
    };
    set_algo(b, Algo::Hash { key: d.arg(1).to_owned(), consistent }, NO_BACKUP)
}

fn set_random(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let two = d.arg_count() > 0;
    if two && d.arg(1) != "two" {
        return Err(d.bad_param(1));
    }
    if d.arg_count() == 2 && d.arg(2) != "least_conn" {
        return Err(d.bad_param(2));
    }
    set_algo(b, Algo::Random { two }, NO_BACKUP)
}

fn set_algo(b: &mut Builder<'_>, algo: Algo, refused: Refused) -> Result<(), Diag> {
    let draft = b.part::<Draft>();
    draft.algo = Some(algo);
    draft.refused = refused;
    note_method(b);
    Ok(())
}

/// The servers of the `upstream {}` being read come from elsewhere, by [`Group::replace`].
pub fn filled_later(b: &mut Builder<'_>) {
    b.part::<Draft>().filled_later = true;
}

/// A script chooses the peers of the `upstream {}` being read.
pub fn chosen_by_script(b: &mut Builder<'_>) {
    b.part::<Draft>().serverless = true;
    note_method(b);
}

fn note_method(b: &mut Builder<'_>) {
    if std::mem::replace(&mut b.part::<Draft>().has_method, true) {
        b.warn("load balancing method redefined");
    }
}

/// The servers of `proxy_pass http://127.0.0.1:8080`: nginx leaves every parameter zero here, and
/// `ngx.upstream.get_servers` shows it.
fn bare(addr: crate::net::addr::Addr) -> Body {
    let server = Server {
        weight: 0,
        max_fails: 0,
        fail_timeout_s: 0,
        ..Server::new(BString::default(), vec![addr])
    };
    Body { servers: vec![server], ..Body::default() }
}

fn resolved(group: &Group) -> Result<Body, String> {
    if group.port() == 0 {
        return Err(format!("no port in upstream \"{}\"", group.host()));
    }
    let text = [group.host().as_bytes(), b":", group.port().to_string().as_bytes()].concat();
    match Url::parse(&text, &Want::default()) {
        Ok(url) => {
            let server = Server::new(BString::default(), url.addrs);
            Ok(Body { servers: vec![server], unlisted: true, ..Body::default() })
        }
        Err(e) => Err(format!("{e} in upstream \"{}\"", group.host())),
    }
}

fn complaint(error: GroupError) -> Diag {
    let mut diag = Diag::emerg(error.to_string());
    if let GroupError::DeclaredPort(_, _, place) = error {
        diag.place = place;
    }
    diag
}

/// `upstream {}` of either realm.
const BOTH: u32 = UPSTREAM | STREAM_UPSTREAM;
type Refused = &'static [&'static str];
const ALL: Refused = &[];
const NO_BACKUP: Refused = &["backup", "slow_start="];
const ROUTE_MAX_BYTES: usize = 32;
/// Eight pages, as nginx asks of every shared zone.
const ZONE_LEAST_BYTES: usize = 8 * 4096;

#[cfg(test)]
mod tests;
