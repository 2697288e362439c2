//! From directives to specifications: what was written, completed when all of it is known.

use std::path::PathBuf;
use std::sync::Arc;

use bstr::BString;

use super::asked::Asked;
use super::groups;
use super::sites::Sites;
use crate::base::units;
use crate::conf::{Builder, Diag, Directive, Part, Place, Scope};
use crate::health::matching::Match;
use crate::health::spec::{AllDown, CheckSpec, Expect, HttpProbe, Pass, ProbeSpec, TcpProbe};
use crate::net::tls::{ClientSpec, ClientTls};
use crate::upstream::{Group, Realm, Secure};

/// A check as it will run.
pub struct Plan {
    /// Whose upstream it is about.
    pub realm: Realm,
    pub spec: CheckSpec,
    pub tls: Option<ClientTls>,
    pub origin: Origin,
}

/// Where a check was asked for.
#[derive(Clone, Debug)]
pub struct Origin {
    pub place: Place,
    /// The parameters that were written; everything else is a default.
    pub written: Vec<BString>,
    /// The location it stands in, whose requests its probes are like.
    pub location: Option<BString>,
}

impl Origin {
    pub(super) fn of(d: &Directive) -> Self {
        let written = d.args().iter().map(|word| word.text.clone()).collect();
        Self { place: d.at.place, written, location: None }
    }

    /// Whether a parameter that begins so was written.
    pub fn has(&self, name: &str) -> bool {
        self.written.iter().any(|p| p.starts_with(name.as_bytes()))
    }
}

/// What one directive said.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) spec: CheckSpec,
    pub(super) match_name: Option<BString>,
    pub(super) tls: Option<ClientSpec>,
    pub(super) origin: Origin,
}

/// The checks of one `upstream {}` or location.
#[derive(Default)]
pub(super) struct Drafts {
    /// `check`
    pub(super) list: Vec<Draft>,
    /// `health_check`
    pub(super) asked: Vec<Asked>,
    /// `health_passive`, for all checks of the block.
    pub(super) passive: Option<super::passive::Requests>,
}

impl Part for Drafts {
    fn inherit(&mut self, _: &Self) {}
}

/// The `match` blocks of the configuration.
#[derive(Default)]
pub(super) struct Matches(pub(super) Vec<Arc<Match>>);

impl Part for Matches {
    fn inherit(&mut self, _: &Self) {}
}

/// `health_state_file path [max_age]`
#[derive(Clone, Debug, Default)]
pub struct StateFile {
    pub path: Option<PathBuf>,
    pub max_age_ms: Option<u64>,
}

impl Part for StateFile {
    fn inherit(&mut self, _: &Self) {}
}

/// All checks of a configuration, or what is wrong with them.
pub(super) fn all(main: &Scope) -> Result<Vec<Plan>, Vec<Diag>> {
    let (matches, sites) = (&main.part::<Matches>().0, main.part::<Sites>());
    let (mut plans, mut wrong) = (Vec::new(), Vec::from_iter(sites.strays()));
    let nothing = Drafts::default();
    for group in groups(main).all().filter(|group| group.is_explicit()) {
        let drafts = group.scope().and_then(|s| s.find::<Drafts>()).unwrap_or(&nothing);
        let passive = drafts.passive.as_ref();
        let mut found = of_upstream(drafts, sites.secure(group));
        found.extend(sites.checks(group));
        if found.is_empty() {
            found.extend(passive.map(|p| (BString::default(), Ok(p.alone(group.host())))));
        }
        for (location, draft) in found {
            let planned = draft.and_then(|draft| {
                let place = draft.origin.place;
                let spec = named(group, &draft, &location, &plans);
                let realm = group.realm();
                let plan = spec.and_then(|spec| complete(draft, spec, passive, matches, realm));
                plan.map_err(|diag| diag.at(place))
            });
            match planned {
                Ok(plan) => plans.push(plan),
                Err(diag) => wrong.push(diag),
            }
        }
    }
    share_policies(&mut plans);
    if wrong.is_empty() { Ok(plans) } else { Err(wrong) }
}

/// The checks of one `upstream {}`, which have no location.
fn of_upstream(drafts: &Drafts, secure: Option<&Secure>) -> Vec<(BString, Result<Draft, Diag>)> {
    let asked = drafts
        .asked
        .iter()
        .map(|asked| asked.in_upstream(secure).map_err(|diag| diag.at(asked.origin.place)));
    let all = drafts.list.iter().cloned().map(Ok).chain(asked);
    all.map(|draft| (BString::default(), draft)).collect()
}

/// The check with its upstream, and a name that no other check of it has.
fn named(
    group: &Group,
    draft: &Draft,
    location: &BString,
    others: &[Plan],
) -> Result<CheckSpec, Diag> {
    let mut spec = CheckSpec { upstream: group.name(), ..draft.spec.clone() };
    let is_taken = |spec: &CheckSpec| others.iter().any(|p| p.spec.is_same_check(spec));
    if is_taken(&spec) && spec.name.is_empty() {
        spec.name.clone_from(location);
    }
    if is_taken(&spec) {
        let text = format!("duplicate health check in upstream \"{}\"", group.host());
        let hint = "give each check of an upstream a name of its own: name=...";
        return Err(Diag::emerg(text).hint(hint));
    }
    if spec.policy.slow_start_ms > 0 && !group.algo().is_weighed() {
        let text = "balancing method does not support parameter \"slow_start\"";
        return Err(Diag::emerg(text));
    }
    Ok(spec)
}

/// What happens in bad times is a matter of the upstream: what one check says of it, all follow.
fn share_policies(plans: &mut [Plan]) {
    for i in 0..plans.len() {
        let upstream = plans[i].spec.upstream.clone();
        let of_it = plans.iter().filter(|p| p.spec.upstream == upstream).map(|p| &p.spec.policy);
        let mut shared = plans[i].spec.policy.clone();
        for policy in of_it {
            if shared.all_down == AllDown::Refuse {
                shared.all_down = policy.all_down;
            }
            shared.panic_percent = shared.panic_percent.max(policy.panic_percent);
            shared.max_ejection_percent =
                shared.max_ejection_percent.min(policy.max_ejection_percent);
        }
        plans[i].spec.policy = shared;
    }
}

/// `health_state_file`
pub(super) fn set_state_file(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let max_age_ms = match d.arg_count() {
        2 => Some(
            d.arg(2)
                .strip_prefix(b"max_age=")
                .and_then(units::parse_msec)
                .ok_or_else(|| d.bad_param(2).hint("it is max_age=TIME"))?,
        ),
        _ => None,
    };
    let path = b.prefix_path(d.arg(1));
    let file = b.main::<StateFile>();
    file.max_age_ms = max_age_ms;
    d.once(&mut file.path, |_| Ok(path))
}

fn complete(
    draft: Draft,
    mut spec: CheckSpec,
    passive: Option<&super::passive::Requests>,
    matches: &[Arc<Match>],
    realm: Realm,
) -> Result<Plan, Diag> {
    if let Some(name) = &draft.match_name {
        let found = matches.iter().find(|m| m.name == *name).cloned();
        let found = found.ok_or_else(|| Diag::emerg(format!("match \"{name}\" not found")))?;
        put_match(&mut spec.probe, found)?;
    }
    if let Some(requests) = passive {
        requests.put(&mut spec);
    }
    let tls = draft.tls.as_ref().map(ClientTls::build).transpose();
    let tls = tls.map_err(|e| Diag::emerg(e.to_string()))?;
    Ok(Plan { realm, spec, tls, origin: draft.origin })
}

fn put_match(probe: &mut ProbeSpec, tests: Arc<Match>) -> Result<(), Diag> {
    match probe {
        ProbeSpec::Http(HttpProbe { pass, .. }) => *pass = Pass::Match(tests),
        ProbeSpec::Tcp(TcpProbe { send, expect }) => {
            send.clone_from(&tests.send);
            *expect = tests.expect.is_some().then_some(Expect::Match(tests));
        }
        _ => {
            let text = format!("match \"{}\" cannot be used by this type of check", tests.name);
            return Err(Diag::emerg(text));
        }
    }
    Ok(())
}
