//! Which route a request takes: Kong's order of precedence over an index by host and path.
//!
//! ```text
//!  route ─ one Rule for each host × path ─▶ (host key, path key) ─▶ rules, best first
//!  request: its host, *.host, host.*, none  ×  its prefixes, regexes, none ─▶ the best that holds
//! ```
//!
//! Kong's order: more kinds of conditions, hosts before headers before paths, plain hosts before
//! wildcards, regexes before prefixes, more headers, higher `regex_priority`, longer paths, older
//! routes.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::entity::{Route, Service};
use crate::base::regex::{Flags, Regex};

/// All routes, ready to be asked.
#[derive(Default)]
pub struct Router {
    rules: Vec<Rule>,
    /// Places in `rules`, which stand in order of precedence.
    index: HashMap<Key, Vec<usize>>,
    /// The lengths of prefixes there are, so that others are not looked up.
    lengths: BTreeSet<usize>,
    wildcards: bool,
}

/// What is known of a request.
pub struct Facts<'a> {
    pub tls: bool,
    /// Lower case, without port.
    pub host: &'a str,
    pub port: u16,
    pub method: &'a str,
    pub path: &'a str,
    pub sni: Option<&'a str>,
    /// The values of a header.
    pub header: &'a dyn Fn(&str) -> Vec<String>,
}

/// The route found.
pub struct Found<'a> {
    pub route: &'a Arc<Route>,
    pub service: Option<&'a Arc<Service>>,
    /// How much of the path the route's own path took.
    pub taken: usize,
    /// Named groups of a regex path.
    pub captures: Vec<(String, String)>,
    /// The route is for https only and the request is not: answer with this status.
    pub wants_tls: Option<u16>,
}

struct Rule {
    route: Arc<Route>,
    service: Option<Arc<Service>>,
    host: HostRule,
    path: PathRule,
    headers: Vec<(String, Vec<String>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum HostRule {
    Any,
    Plain(String),
    /// `*.example.com`, kept as `.example.com`.
    Suffix(String),
    /// `example.*`, kept as `example.`.
    Prefix(String),
}

enum PathRule {
    Any,
    Prefix(String),
    Regex(String, Regex),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum PathKey {
    Any,
    Prefix(String),
    Regex,
}

type Key = (HostRule, PathKey);

impl Router {
    /// Compiles the routes; `service` finds the service a route names.
    pub fn build(
        routes: impl Iterator<Item = Arc<Route>>,
        service: impl Fn(&str) -> Option<Arc<Service>>,
    ) -> Self {
        let mut rules: Vec<Rule> = Vec::new();
        for route in routes {
            let to = route.service.as_ref().and_then(|service_ref| service(&service_ref.id));
            rules.extend(rules_of(&route, to.as_ref()));
        }
        rules.sort_by(|a, b| {
            let created = a.route.created_at.total_cmp(&b.route.created_at);
            a.rank().cmp(&b.rank()).then(created).then_with(|| a.route.id.cmp(&b.route.id))
        });
        let mut router = Self::default();
        for (at, rule) in rules.iter().enumerate() {
            let path = match &rule.path {
                PathRule::Any => PathKey::Any,
                PathRule::Regex(..) => PathKey::Regex,
                PathRule::Prefix(prefix) => {
                    router.lengths.insert(prefix.len());
                    PathKey::Prefix(prefix.clone())
                }
            };
            router.wildcards |= matches!(rule.host, HostRule::Suffix(_) | HostRule::Prefix(_));
            router.index.entry((rule.host.clone(), path)).or_default().push(at);
        }
        router.rules = rules;
        router
    }

    /// The best route for a request.
    pub fn find(&self, facts: &Facts<'_>) -> Option<Found<'_>> {
        let mut best: Option<(usize, Taken)> = None;
        let paths = self.path_keys(facts.path);
        for host in self.host_keys(facts) {
            for path in &paths {
                let Some(list) = self.index.get(&(host.clone(), path.clone())) else { continue };
                for at in list {
                    if best.as_ref().is_some_and(|(best, _)| best <= at) {
                        break;
                    }
                    if let Some(taken) = self.rules[*at].holds(facts) {
                        best = Some((*at, taken));
                        break;
                    }
                }
            }
        }
        let (at, taken) = best?;
        let rule = &self.rules[at];
        let wants_tls = (!rule.route.speaks(facts.tls)).then_some(rule.route.redirect_status());
        let (route, service) = (&rule.route, rule.service.as_ref());
        Some(Found { route, service, taken: taken.bytes, captures: taken.captures, wants_tls })
    }

    fn host_keys(&self, facts: &Facts<'_>) -> Vec<HostRule> {
        let host = facts.host;
        let mut keys = vec![
            HostRule::Any,
            HostRule::Plain(host.into()),
            HostRule::Plain(format!("{host}:{}", facts.port)),
        ];
        if self.wildcards {
            let dots: Vec<usize> = host.match_indices('.').map(|(at, _)| at).collect();
            keys.extend(dots.iter().map(|at| HostRule::Suffix(host[*at..].into())));
            keys.extend(dots.iter().map(|at| HostRule::Prefix(host[..=*at].into())));
        }
        keys
    }

    fn path_keys(&self, path: &str) -> Vec<PathKey> {
        let prefixes = self.lengths.range(..=path.len()).filter_map(|length| path.get(..*length));
        let prefixes = prefixes.map(|prefix| PathKey::Prefix(prefix.into()));
        [PathKey::Any, PathKey::Regex].into_iter().chain(prefixes).collect()
    }
}

impl Route {
    fn speaks(&self, tls: bool) -> bool {
        let own = if tls { "https" } else { "http" };
        self.protocols.is_empty() || self.protocols.iter().any(|protocol| protocol == own)
    }

    fn redirect_status(&self) -> u16 {
        self.https_redirect_status_code
    }
}

/// What a rule's path took of the request's.
#[derive(Default)]
struct Taken {
    bytes: usize,
    captures: Vec<(String, String)>,
}

impl Rule {
    fn rank(&self) -> impl Ord + use<> {
        let conditions = [
            !matches!(self.host, HostRule::Any),
            !self.headers.is_empty(),
            !matches!(self.path, PathRule::Any),
            self.route.methods.as_ref().is_some_and(|methods| !methods.is_empty()),
            self.route.snis.as_ref().is_some_and(|snis| !snis.is_empty()),
        ];
        let kinds = conditions.iter().filter(|holds| **holds).count();
        // Of equally many kinds those that stand first here weigh more.
        let plain = matches!(self.host, HostRule::Plain(_));
        let (regex, priority, length) = match &self.path {
            PathRule::Regex(text, _) => (true, self.route.regex_priority, text.len()),
            PathRule::Prefix(text) => (false, 0, text.len()),
            PathRule::Any => (false, 0, 0),
        };
        Reverse((kinds, conditions, plain, regex, self.headers.len(), priority, length))
    }

    fn holds(&self, facts: &Facts<'_>) -> Option<Taken> {
        let route = &*self.route;
        // https is the one thing that can be asked for by a redirect.
        if facts.tls && !route.speaks(true) {
            return None;
        }
        let listed = |list: &Option<Vec<String>>, value: Option<&str>| match list {
            Some(list) if !list.is_empty() => value.is_some_and(|v| list.iter().any(|l| l == v)),
            _ => true,
        };
        if !listed(&route.methods, Some(facts.method)) {
            return None;
        }
        if facts.tls && !listed(&route.snis, facts.sni) {
            return None;
        }
        let met = |(name, wanted): &(String, Vec<String>)| {
            let values = (facts.header)(name);
            values.iter().any(|value| wanted.contains(&value.to_ascii_lowercase()))
        };
        self.headers.iter().all(met).then(|| self.path.take(facts.path)).flatten()
    }
}

impl PathRule {
    fn take(&self, path: &str) -> Option<Taken> {
        match self {
            Self::Any => Some(Taken::default()),
            Self::Prefix(prefix) => {
                path.starts_with(prefix).then(|| Taken { bytes: prefix.len(), ..Taken::default() })
            }
            Self::Regex(_, regex) => {
                // A pattern too hard for this path is one that does not match it.
                let found = regex.captures(path.as_bytes()).ok().flatten()?;
                let (_, bytes) = found.span(0)?;
                let text = |at: usize| {
                    Some(String::from_utf8_lossy(found.text(at, path.as_bytes())?).into_owned())
                };
                let named = regex.names().iter().filter_map(|(name, at)| {
                    Some((String::from_utf8_lossy(name).into_owned(), text(*at)?))
                });
                let numbered = (1..found.len()).filter_map(|at| Some((at.to_string(), text(at)?)));
                Some(Taken { bytes, captures: numbered.chain(named).collect() })
            }
        }
    }
}

/// A rule for each host and path of a route.
fn rules_of(route: &Arc<Route>, service: Option<&Arc<Service>>) -> Vec<Rule> {
    let listed = |list: &Option<Vec<String>>| -> Vec<Option<String>> {
        match list {
            Some(list) if !list.is_empty() => list.iter().cloned().map(Some).collect(),
            _ => vec![None],
        }
    };
    let mut rules = Vec::new();
    for host in listed(&route.hosts) {
        for path in listed(&route.paths) {
            let Some(path) = path_rule(path) else { continue };
            let headers = route.headers.iter().flatten().map(|(name, values)| {
                (name.clone(), values.iter().map(|value| value.to_ascii_lowercase()).collect())
            });
            rules.push(Rule {
                route: route.clone(),
                service: service.cloned(),
                host: host_rule(host.as_deref()),
                path,
                headers: headers.collect(),
            });
        }
    }
    rules
}

fn host_rule(host: Option<&str>) -> HostRule {
    let Some(host) = host else { return HostRule::Any };
    let host = host.to_ascii_lowercase();
    if let Some(rest) = host.strip_prefix('*') {
        return HostRule::Suffix(rest.into());
    }
    match host.strip_suffix('*') {
        Some(rest) => HostRule::Prefix(rest.into()),
        None => HostRule::Plain(host),
    }
}

/// `None` for a regex that does not compile; the Admin API refuses those.
fn path_rule(path: Option<String>) -> Option<PathRule> {
    let Some(path) = path else { return Some(PathRule::Any) };
    let Some(pattern) = path.strip_prefix('~') else { return Some(PathRule::Prefix(path)) };
    let flags = Flags::nginx(false).with(Flags::ANCHORED);
    let regex = Regex::compile(pattern.as_bytes(), flags).ok()?;
    Some(PathRule::Regex(pattern.into(), regex))
}

#[cfg(test)]
mod tests;
