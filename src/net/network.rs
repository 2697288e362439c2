//! Networks: an address, or all that share its first bits.
//!
//! ```text
//!   "10.0.0.0/8", "::1" ─▶ Network ─ contains(ip)
//! ```

use std::net::IpAddr;

use bstr::{BStr, ByteSlice};

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    ip: IpAddr,
    bits: u8,
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
