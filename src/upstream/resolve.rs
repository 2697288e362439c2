//! Servers whose addresses are asked for while requests run: `server name resolve`.
//!
//! ```text
//!  start ─▶ a task for each name ─ ask ─▶ Answers ─ changed? ─▶ Group::refresh
//!               ▲     until the answer's time is over   │        peers that stay keep their states
//!               └───────────────────────────────────────┘
//! ```

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bstr::BString;

use super::conf::UpstreamConf;
use super::group::{Group, Realm, Server};
use super::names::{Names, NamesConf};
use super::registry::Groups;
use crate::base::clock;
use crate::base::log::{Level, emit};
use crate::conf::{Builder, Diag, Part, Scope};
use crate::net::addr::Addr;
use crate::net::resolver::{Found, ResolveError, Resolver, Service};

/// What a `server` line wants to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub question: Question,
    /// Of every address; a service's records say their own.
    pub port: u16,
}

/// A name, or a service of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    pub name: String,
    pub service: Option<String>,
}

impl Question {
    async fn ask(&self, names: &Names) -> Result<Answer, (ResolveError, u64)> {
        let Some(spec) = &names.spec else { return Err((ResolveError::NotFound, u64::MAX)) };
        let resolver = Resolver::of(spec);
        let answer = match &self.service {
            None => resolver.find(&self.name, names.timeout).await.map(Answer::from),
            Some(service) => {
                let found = resolver.service(service, &self.name, names.timeout).await;
                found.map(|found| self.answer(service, found))
            }
        };
        answer.map_err(|why| (why, resolver.nothing_until_ms()))
    }

    fn answer(&self, service: &str, found: Service) -> Answer {
        for (host, why) in &found.failed {
            let of = format_args!("while resolving service {service} of {}", self.name);
            emit(Level::Error, format_args!("{} {of}", why.about(host)));
        }
        let found_until_ms = found.until_ms;
        let targets = found.targets.into_iter().map(|target| Target {
            addr: target.addr,
            record: Some(Record {
                host: target.host,
                priority: target.priority,
                weight: target.weight,
            }),
        });
        Answer { targets: targets.collect(), until_ms: found_until_ms }
    }

    fn about(&self, why: ResolveError) -> String {
        match &self.service {
            None => why.about(&self.name),
            Some(service) => why.about(&format!("service {service} of {}", self.name)),
        }
    }
}

/// What is known of the names of one group.
#[derive(Default)]
pub(super) struct Answers(Mutex<HashMap<Question, Answer>>);

impl Answers {
    /// The servers of a group now: those with names in place of their lines.
    pub(super) fn servers(&self, listed: &[Server]) -> Vec<Server> {
        let known = self.known();
        let now = |server: &Server| match &server.wanted {
            None => vec![server.clone()],
            Some(wanted) => {
                let answer = known.get(&wanted.question);
                answer.map_or_else(Vec::new, |answer| answer.servers(server, wanted.port))
            }
        };
        listed.iter().flat_map(now).collect()
    }

    /// What the group of this name knew before a reload holds on.
    pub(super) fn adopt(&self, old: &Self, listed: &[Server]) {
        let wanted = listed.iter().filter_map(|server| server.wanted.as_ref());
        let old = old.known();
        let kept = wanted.filter_map(|w| Some((w.question.clone(), old.get(&w.question)?.clone())));
        self.known().extend(kept);
    }

    /// Takes an answer; true when it changes anything. What stays keeps its place.
    fn learn(&self, question: &Question, mut fresh: Answer) -> bool {
        let mut known = self.known();
        let entry = known.entry(question.clone()).or_default();
        let take = |list: &mut Vec<Target>, target: &Target| {
            list.iter().position(|t| t == target).map(|at| list.swap_remove(at))
        };
        let before = entry.targets.len();
        let mut kept: Vec<Target> = Vec::with_capacity(fresh.targets.len());
        for target in &entry.targets {
            kept.extend(take(&mut fresh.targets, target));
        }
        let changed = kept.len() != before || !fresh.targets.is_empty();
        kept.append(&mut fresh.targets);
        *entry = Answer { targets: kept, until_ms: fresh.until_ms };
        changed
    }

    fn until_ms(&self, question: &Question) -> u64 {
        self.known().get(question).map_or(0, |answer| answer.until_ms)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Question, Answer>> {
        // Entries are replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Debug, Default)]
struct Answer {
    targets: Vec<Target>,
    until_ms: u64,
}

impl From<Found> for Answer {
    fn from(found: Found) -> Self {
        let addrs = found.addrs.into_iter();
        let targets = addrs.map(|ip| Target { addr: SocketAddr::new(ip, 0), record: None });
        Self { targets: targets.collect(), until_ms: found.until_ms }
    }
}

impl Answer {
    fn servers(&self, line: &Server, port: u16) -> Vec<Server> {
        let best = self.targets.iter().filter_map(|t| Some(t.record.as_ref()?.priority)).min();
        let server = |target: &Target| {
            let mut server = Server { wanted: None, ..line.clone() };
            let Some(record) = &target.record else {
                server.addrs = vec![Addr::Inet(SocketAddr::new(target.addr.ip(), port))];
                return Some(server);
            };
            let is_backup = Some(record.priority) != best;
            if is_backup && line.backup {
                return None;
            }
            server.addrs = vec![Addr::Inet(target.addr)];
            server.name = BString::from(record.host.as_str());
            server.backup |= is_backup;
            if line.weight == 1 {
                server.weight = record.weight.into();
            }
            Some(server)
        };
        self.targets.iter().filter_map(server).collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    addr: SocketAddr,
    record: Option<Record>,
}

/// What a service's record says of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    host: String,
    priority: u16,
    weight: u16,
}

/// At the end of the block that holds the groups: each with names must have a zone to keep their
/// addresses in and somebody to ask, if need be whom the block names.
pub fn settle(b: &mut Builder<'_>, scope: &mut Scope, realm: Realm) -> Result<(), Diag> {
    let around = scope.part_mut::<NamesConf>().clone();
    let mut bad = Vec::new();
    for (group, place) in b.main::<UpstreamConf>().groups.explicit_ones() {
        if group.realm() != realm || group.wanted().next().is_none() || group.names().is_some() {
            continue;
        }
        let mut own = group.scope().and_then(Scope::find::<NamesConf>).cloned().unwrap_or_default();
        own.inherit(&around);
        let names = own.names();
        let host = group.host();
        let what = "names at run time";
        let text = if !group.has_zone() {
            format!("resolving {what} requires upstream \"{host}\" to be in shared memory")
        } else if names.spec.is_none() {
            format!("no resolver defined to resolve {what} in upstream \"{host}\"")
        } else {
            group.set_names(names);
            continue;
        };
        bad.push(Diag { place, ..Diag::emerg(text) });
    }
    bad.into_iter().for_each(|diag| b.report(diag));
    Ok(())
}

/// Follows the names of all groups. Called on one thread of a configuration; the tasks end with it.
pub fn start(groups: &Groups) {
    for group in groups.all() {
        let Some(names) = group.names() else { continue };
        let mut questions: Vec<Question> = Vec::new();
        for wanted in group.wanted() {
            if !questions.contains(&wanted.question) {
                questions.push(wanted.question.clone());
            }
        }
        for question in questions {
            tokio::task::spawn_local(follow(group.clone(), names.clone(), question));
        }
    }
}

async fn follow(group: Arc<Group>, names: Names, question: Question) {
    let mut until_ms = group.answers().until_ms(&question);
    loop {
        let pause_ms = until_ms.saturating_sub(clock::mono_ms());
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        let answer = match question.ask(&names).await {
            Ok(answer) => Some(answer),
            Err((why, nothing_until_ms)) => {
                emit(Level::Error, format_args!("{}", question.about(why)));
                let nothing = Answer { targets: Vec::new(), until_ms: nothing_until_ms };
                // That there is no such name is an answer. When nobody answers all stays as it is.
                (why == ResolveError::NotFound).then_some(nothing)
            }
        };
        let soonest_ms = clock::mono_ms() + 1000;
        let Some(answer) = answer else {
            until_ms = soonest_ms.max(clock::mono_ms() + names.timeout.as_millis() as u64);
            continue;
        };
        until_ms = answer.until_ms.max(soonest_ms);
        if group.answers().learn(&question, answer) {
            group.refresh();
        }
    }
}
