//! `allow` and `deny`.

use std::net::IpAddr;
use std::rc::Rc;

use bstr::{BStr, ByteSlice};

use crate::base::log::Level;
use crate::conf::row::{HTTP_LEVELS, LIMIT_EXCEPT, Row, row, take};
use crate::conf::{Builder, Diag, Directive, Part, Scope};

use super::{
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

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    ip: IpAddr,
    bits: u8,
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

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Self {
        Self { ip, bits: if ip.is_ipv4() { 32 } else { 128 } }
    }
}

impl Network {
    /// Reads `10.0.0.0/8`, `::1`.
    pub fn parse(text: &BStr) -> Option<Self> {
        let text = text.to_str().ok()?;
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().ok()?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { ip, bits })
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.ip.is_ipv4() && self.keep(ip) == self.keep(self.ip)
    }

    /// Whether bits are set that the mask leaves out.
    pub fn has_low_bits(&self) -> bool {
        self.keep(self.ip) != number(self.ip)
    }

    pub fn masked(self) -> Self {
        let kept = self.keep(self.ip);
        let ip = match self.ip {
            IpAddr::V4(_) => IpAddr::V4((kept as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(kept.into()),
        };
        Self { ip, ..self }
    }

    pub fn bits(&self) -> u8 {
        self.bits
    }

    fn keep(&self, ip: IpAddr) -> u128 {
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let drop = width - u32::from(self.bits);
        number(ip).checked_shr(drop).unwrap_or(0).checked_shl(drop).unwrap_or(0)
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => ip.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_their_bits_say() {
        let net = Network::parse("10.1.2.3/16".into()).unwrap();
        assert!(net.has_low_bits());
        assert!(net.masked().contains("10.1.255.1".parse().unwrap()));
        assert!(!net.contains("10.2.0.1".parse().unwrap()));
        let all = Network::parse("::/0".into()).unwrap();
        assert!(all.contains("fe80::1".parse().unwrap()));
        assert!(!all.contains("1.2.3.4".parse().unwrap()));
        assert_eq!(Network::parse("10.0.0.0/33".into()), None);
    }
}
