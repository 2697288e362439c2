//! `allow` and `deny`.

use std::rc::Rc;

use bstr::ByteSlice;

use crate::base::log::Level;
use crate::conf::row::{HTTP_LEVELS, LIMIT_EXCEPT, Row, row, take};
use crate::conf::{Builder, Diag, Directive, Part, Scope};
use crate::net::network::Network;

use crate::http::{
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
};

/// The rules of one level; a level with rules of its own takes none from above.
#[derive(Default)]
pub struct AccessConf {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    who: Who,
    deny: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    All,
    Unix,
    Net(Network),
}

impl Part for AccessConf {
    fn inherit(&mut self, parent: &Self) {
        if self.rules.is_empty() {
            self.rules.clone_from(&parent.rules);
        }
    }
}

pub const ROWS: &[Row] = &[
    row("allow", HTTP_LEVELS | LIMIT_EXCEPT, take(1), |b, d| add(b, d, false)),
    row("deny", HTTP_LEVELS | LIMIT_EXCEPT, take(1), |b, d| add(b, d, true)),
];

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Access, handler: &Access }];

struct Access;

impl Handler for Access {
    fn applies(&self, scope: &Scope) -> bool {
        !scope.part::<AccessConf>().rules.is_empty()
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let location = r.location();
        let rules = &location.scope.part::<AccessConf>().rules;
        let ip = r.conn.peer().ip().map(|ip| ip.to_canonical());
        let first = rules.iter().find(|rule| match &rule.who {
            Who::All => true,
            Who::Unix => ip.is_none(),
            Who::Net(net) => ip.is_some_and(|ip| net.contains(ip)),
        });
        Step::Ready(match first {
            None => Flow::Decline,
            Some(rule) if !rule.deny => Flow::Next,
            Some(_) => {
                if !location.core().satisfy_any() {
                    r.log(Level::Error, format_args!("access forbidden by rule"));
                }
                Flow::Status(403)
            }
        })
    }
}

fn add(b: &mut Builder<'_>, d: &Directive, deny: bool) -> Result<(), Diag> {
    let text = d.arg(1);
    let who = match text.as_bytes() {
        b"all" => Who::All,
        b"unix:" => Who::Unix,
        _ => {
            let net = Network::parse(text)
                .ok_or_else(|| Diag::emerg(format!("invalid parameter \"{text}\"")))?;
            if net.has_low_bits() {
                b.warn(format!("low address bits of {text} are meaningless"));
            }
            Who::Net(net.masked())
        }
    };
    b.part::<AccessConf>().rules.push(Rule { who, deny });
    Ok(())
}
