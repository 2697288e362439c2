//! Locations that checks are written in, or whose TLS checks go by.
//!
//! ```text
//!  app: every location ─ add(scope, name, way) ─▶ Sites ─ checks(group), secure(group) ─▶ plan
//! ```

use std::sync::Arc;

use bstr::{BStr, BString};

use super::asked::Asked;
use super::plan::{Draft, Drafts};
use crate::conf::{Diag, Part, Scope};
use crate::upstream::{Group, Secure, Way};

/// What the locations of a configuration say; a part of its main level.
#[derive(Default)]
pub struct Sites(Vec<Site>);

impl Part for Sites {
    fn inherit(&mut self, _: &Self) {}
}

struct Site {
    location: BString,
    asked: Vec<Asked>,
    way: Option<Way>,
}

impl Sites {
    /// Looks at a location, which may pass requests on.
    pub fn add(&mut self, scope: &Scope, location: &BStr, way: Option<Way>) {
        let asked = scope.find::<Drafts>().map_or(Vec::new(), |drafts| drafts.asked.clone());
        if !asked.is_empty() || way.as_ref().is_some_and(|way| way.secure.is_some()) {
            self.0.push(Site { location: location.into(), asked, way });
        }
    }

    /// The checks written in locations that pass to this group, in the order of the files, each
    /// with the name of its location.
    pub(super) fn checks(&self, group: &Arc<Group>) -> Vec<(BString, Result<Draft, Diag>)> {
        let mut found = Vec::new();
        for site in &self.0 {
            let Some(way) = site.way.as_ref().filter(|way| Arc::ptr_eq(&way.group, group)) else {
                continue;
            };
            found.extend(site.asked.iter().map(|asked| (site, way, asked)));
        }
        found.sort_by_key(|(_, _, asked)| asked.origin.place);
        let draft = |(site, way, asked): (&Site, &Way, &Asked)| {
            let mut draft = asked.in_location(way).map_err(|diag| diag.at(asked.origin.place));
            if let Ok(draft) = &mut draft {
                draft.origin.location = Some(site.location.clone());
            }
            (site.location.clone(), draft)
        };
        found.into_iter().map(draft).collect()
    }

    /// TLS to a group, when all locations have the same.
    pub(super) fn secure(&self, group: &Arc<Group>) -> Option<&Secure> {
        let ways = self.0.iter().filter_map(|site| site.way.as_ref());
        let mut all =
            ways.filter(|w| Arc::ptr_eq(&w.group, group)).filter_map(|w| w.secure.as_ref());
        let first = all.next()?;
        all.all(|other| other == first).then_some(first)
    }

    /// Checks in locations that pass to no `upstream {}`.
    pub(super) fn strays(&self) -> impl Iterator<Item = Diag> {
        let lost = self
            .0
            .iter()
            .filter(|site| site.way.as_ref().is_none_or(|way| !way.group.is_explicit()));
        lost.flat_map(|site| {
            let text = match &site.way {
                None => "\"health_check\" requires a \"proxy_pass\" without variables".to_string(),
                Some(way) => {
                    let name = way.group.name();
                    format!("\"health_check\" requires an upstream, and \"{name}\" is none")
                }
            };
            let complain = move |asked: &Asked| {
                let hint = "it stands in an upstream {}, or in a location that passes to one";
                Diag::emerg(text.clone()).at(asked.origin.place).hint(hint)
            };
            site.asked.iter().map(complain)
        })
    }
}
