//! DNS messages, as far as a resolver of addresses and services needs them; pure, no sockets.
//!
//! ```text
//!  name, type ──question──▶ bytes    bytes ──Answer::parse──▶ rcode, addresses or SRV, CNAME, TTL
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    A,
    Aaaa,
    Srv,
}

impl Kind {
    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
            Self::Srv => 33,
        }
    }
}

/// A record that names a host and a port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// The lowest is asked first.
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    pub target: String,
}

/// A question on the wire; `None` for a name that cannot be one.
pub fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(HEADER_BYTES + name.len() + 6);
    out.extend_from_slice(&id.to_be_bytes());
    // Recursion desired; one question.
    out.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        let length = u8::try_from(label.len()).ok().filter(|n| (1..=63).contains(n))?;
        out.push(length);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    if out.len() - HEADER_BYTES > NAME_MAX_BYTES {
        return None;
    }
    out.extend_from_slice(&kind.number().to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    Some(out)
}

/// A response, reduced to what was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub id: u16,
    pub rcode: u8,
    /// It did not fit into a datagram: ask again over TCP.
    pub truncated: bool,
    pub addrs: Vec<IpAddr>,
    pub services: Vec<Srv>,
    /// The name to go on with, when the answer ends in an alias without what was asked for.
    pub alias: Option<String>,
    /// The shortest time to live among the records used, in seconds.
    pub ttl: u32,
}

impl Answer {
    /// Reads a response to `question` (as sent); `None` for anything else.
    pub fn parse(bytes: &[u8], question: &[u8], kind: Kind) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let id = reader.u16()?;
        let (flags, rcode) = (reader.u8()?, reader.u8()?);
        let is_response = flags & 0x80 != 0;
        let (questions, answers) = (reader.u16()?, reader.u16()?);
        reader.skip(4)?;
        let asked = question.get(HEADER_BYTES..)?;
        if !is_response || questions != 1 || id.to_be_bytes() != question[..2] {
            return None;
        }
        let echoed = reader.take(asked.len())?;
        if !echoed.eq_ignore_ascii_case(asked) {
            return None;
        }
        let mut answer = Self {
            id,
            rcode: rcode & 0x0f,
            truncated: flags & 0x02 != 0,
            ttl: u32::MAX,
            ..Self::default()
        };
        let mut name = Reader { bytes, at: HEADER_BYTES }.name()?;
        for _ in 0..answers {
            // A truncated message ends in the middle of a record.
            let Some(record) = reader.record() else { break };
            answer.add(&record, &mut name, kind, bytes);
        }
        if !answer.addrs.is_empty() || !answer.services.is_empty() {
            answer.alias = None;
        }
        Some(answer)
    }

    fn add(&mut self, record: &Record<'_>, name: &mut String, kind: Kind, bytes: &[u8]) {
        if !record.name.eq_ignore_ascii_case(name) || record.class != CLASS_IN {
            return;
        }
        if record.kind == CNAME {
            let target = Reader { bytes, at: record.data_at }.name();
            if let Some(target) = target {
                name.clone_from(&target);
                self.alias = Some(target);
                self.ttl = self.ttl.min(record.ttl);
            }
            return;
        }
        if record.kind != kind.number() {
            return;
        }
        if self.take(record, kind, bytes).is_some() {
            self.ttl = self.ttl.min(record.ttl);
        }
    }

    fn take(&mut self, record: &Record<'_>, kind: Kind, bytes: &[u8]) -> Option<()> {
        match kind {
            Kind::A => {
                let ip = <[u8; 4]>::try_from(record.data).ok()?;
                self.addrs.push(IpAddr::V4(Ipv4Addr::from(ip)));
            }
            Kind::Aaaa => {
                let ip = <[u8; 16]>::try_from(record.data).ok()?;
                self.addrs.push(IpAddr::V6(Ipv6Addr::from(ip)));
            }
            Kind::Srv => {
                let mut data = Reader { bytes: record.data, at: 0 };
                let (priority, weight, port) = (data.u16()?, data.u16()?, data.u16()?);
                let target = Reader { bytes, at: record.data_at + data.at }.name()?;
                self.services.push(Srv { priority, weight, port, target });
            }
        }
        Some(())
    }
}

struct Record<'a> {
    name: String,
    kind: u16,
    class: u16,
    ttl: u32,
    data: &'a [u8],
    data_at: usize,
}

/// Takes a message apart; every step may find that it ends too early.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let part = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(part)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(drop)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// A name, compressed or not. Pointers may only lead backwards, so reading always ends.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut at = self.at;
        let mut limit = self.bytes.len();
        let mut jumped = false;
        loop {
            let length = usize::from(*self.bytes.get(at)?);
            match length {
                0 => break,
                1..=63 => {
                    let label = self.bytes.get(at + 1..at + 1 + length)?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(&String::from_utf8_lossy(label));
                    at += 1 + length;
                }
                0xc0.. => {
                    let low = usize::from(*self.bytes.get(at + 1)?);
                    let target = (length & 0x3f) << 8 | low;
                    if target >= at.min(limit) {
                        return None;
                    }
                    if !jumped {
                        self.at = at + 2;
                        jumped = true;
                    }
                    limit = target;
                    at = target;
                }
                _ => return None,
            }
            if name.len() > NAME_MAX_BYTES {
                return None;
            }
        }
        if !jumped {
            self.at = at + 1;
        }
        Some(name)
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let name = self.name()?;
        let (kind, class, ttl) = (self.u16()?, self.u16()?, self.u32()?);
        let length = usize::from(self.u16()?);
        let data_at = self.at;
        let data = self.take(length)?;
        Some(Record { name, kind, class, ttl, data, data_at })
    }
}

const HEADER_BYTES: usize = 12;
const NAME_MAX_BYTES: usize = 255;
const CLASS_IN: u16 = 1;
const CNAME: u16 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    /// A response to `asked` with records `(name, type, data)`; names in full.
    fn response(asked: &[u8], records: &[(&str, u16, &[u8])]) -> Vec<u8> {
        let mut out = asked.to_vec();
        out[2] = 0x81;
        out[7] = records.len() as u8;
        for (name, kind, data) in records {
            out.extend_from_slice(&wire(name));
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&[0, 1, 0, 0, 0, 9]);
            out.extend_from_slice(&(data.len() as u16).to_be_bytes());
            out.extend_from_slice(data);
        }
        out
    }

    fn wire(name: &str) -> Vec<u8> {
        let asked = question(1, name, Kind::A).unwrap();
        asked[HEADER_BYTES..asked.len() - 4].to_vec()
    }

    #[test]
    fn addresses_behind_an_alias() {
        let asked = question(7, "a.example", Kind::A).unwrap();
        let bytes = response(
            &asked,
            &[("a.example", CNAME, &wire("b.example")), ("B.example", 1, &[127, 0, 0, 9])],
        );
        let answer = Answer::parse(&bytes, &asked, Kind::A).unwrap();
        assert_eq!(answer.addrs, ["127.0.0.9".parse::<IpAddr>().unwrap()]);
        assert_eq!((answer.alias, answer.ttl), (None, 9));
        let bytes = response(&asked, &[("a.example", CNAME, &wire("b.example"))]);
        let answer = Answer::parse(&bytes, &asked, Kind::A).unwrap();
        assert_eq!(answer.alias.as_deref(), Some("b.example"));
    }

    #[test]
    fn services() {
        let asked = question(7, "_http._tcp.example", Kind::Srv).unwrap();
        let mut data = vec![0, 1, 0, 5, 0x1f, 0x90];
        data.extend_from_slice(&wire("a.example"));
        let records = [("_http._tcp.example", 33, &data[..]), ("_http._tcp.example", 33, &[0; 5])];
        let answer = Answer::parse(&response(&asked, &records), &asked, Kind::Srv).unwrap();
        let srv = Srv { priority: 1, weight: 5, port: 8080, target: "a.example".into() };
        assert_eq!((answer.services, answer.ttl), (vec![srv], 9), "what is cut off is left out");
    }

    #[test]
    fn strangers_are_not_believed() {
        let asked = question(7, "a.example", Kind::A).unwrap();
        let bytes = response(&asked, &[("c.example", 1, &[127, 0, 0, 9])]);
        assert!(Answer::parse(&bytes, &asked, Kind::A).unwrap().addrs.is_empty());
        let other = question(8, "a.example", Kind::A).unwrap();
        assert_eq!(Answer::parse(&bytes, &other, Kind::A), None);
        assert_eq!(Answer::parse(&asked, &asked, Kind::A), None, "a question is no answer");
    }

    #[test]
    fn names_that_cannot_be() {
        assert_eq!(question(1, "a..b", Kind::A), None);
        assert_eq!(question(1, "", Kind::A), None);
        assert_eq!(question(1, &"a".repeat(64), Kind::A), None);
        assert_eq!(question(1, &"abcdefg.".repeat(40), Kind::A), None);
    }

    /// Every cut and every changed byte of a message with pointers ends without a panic.
    #[test]
    fn broken_messages_end() {
        let asked = question(7, "a.example", Kind::Aaaa).unwrap();
        let mut bytes = response(&asked, &[("a.example", 28, &[1; 16]), ("a.example", 5, &[3])]);
        bytes.extend_from_slice(&[0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4]);
        bytes[7] = 3;
        for cut in 0..bytes.len() {
            let _ = Answer::parse(&bytes[..cut], &asked, Kind::Aaaa);
            for value in [0, 0x3f, 0xc0, 0xff] {
                let mut broken = bytes.clone();
                broken[cut] = value;
                let _ = Answer::parse(&broken, &asked, Kind::Aaaa);
            }
        }
    }
}
