//! Address ranges of `remote_addrs` and `ipmatch`.
//!
//! ```text
//!  "127.0.0.0/8", "::1" ─▶ Range ─ contains(ip)
//! ```

use std::net::IpAddr;

/// An address, or all that share its first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    ip: IpAddr,
    bits: u8,
}

impl Range {
    pub fn parse(text: &str) -> Option<Self> {
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
        match (self.ip, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let drop = 32 - u32::from(self.bits);
                (a.to_bits() ^ b.to_bits()).checked_shr(drop).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let drop = 128 - u32::from(self.bits);
                (a.to_bits() ^ b.to_bits()).checked_shr(drop).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let holds = |range: &str, ip: &str| {
            Range::parse(range).is_some_and(|range| range.contains(ip.parse().unwrap()))
        };
        assert!(holds("127.0.0.1", "127.0.0.1") && !holds("127.0.0.1", "127.0.0.2"));
        assert!(holds("127.0.0.0/8", "127.9.9.9") && !holds("127.0.0.0/8", "128.0.0.1"));
        assert!(holds("0.0.0.0/0", "1.2.3.4") && holds("::/0", "::1"));
        assert!(holds("fe80::/10", "fe80::1") && !holds("fe80::/10", "::1"));
        assert!(Range::parse("1.2.3.4/33").is_none() && Range::parse("x").is_none());
    }
}
