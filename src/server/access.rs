//! `allow` and `deny`.

use std::net::IpAddr;

use bstr::ByteSlice;

use crate::conf::{Builder, Diag, Directive, Part};
use crate::net::network::Network;

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

impl AccessConf {
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the first rule about the client says: `true` lets it in.
    pub fn allows(&self, client: Option<IpAddr>) -> Option<bool> {
        let ip = client.map(|ip| ip.to_canonical());
        let first = self.rules.iter().find(|rule| match &rule.who {
            Who::All => true,
            Who::Unix => ip.is_none(),
            Who::Net(net) => ip.is_some_and(|ip| net.contains(ip)),
        });
        first.map(|rule| !rule.deny)
    }
}

/// Reads `allow`, or `deny`.
pub fn add(b: &mut Builder<'_>, d: &Directive, deny: bool) -> Result<(), Diag> {
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
