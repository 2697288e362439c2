//! Sets of HTTP statuses, as configurations write them.
//!
//! ```text
//!   200 302 400-499  ──▶ Statuses [(200,200), (302,302), (400,499)]
//! ```

use std::fmt;

/// Ranges of statuses, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    pub fn of(list: impl IntoIterator<Item = u16>) -> Self {
        let mut ranges: Vec<_> = list.into_iter().map(|s| (s, s)).collect();
        ranges.sort_unstable();
        ranges.dedup();
        Self(ranges)
    }

    pub fn range(first: u16, last: u16) -> Self {
        Self(vec![(first, last)])
    }

    /// Adds `404` or `200-399`; `None` when the word is neither.
    pub fn add(&mut self, word: &[u8]) -> Option<()> {
        let text = std::str::from_utf8(word).ok()?;
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |t: &str| -> Option<u16> {
            let is_number = !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
            t.parse().ok().filter(|n| is_number && (100..=999).contains(n))
        };
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then(|| self.0.push((first, last)))
    }

    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.0.iter().enumerate() {
            let space = if i > 0 { " " } else { "" };
            match first == last {
                true => write!(f, "{space}{first}")?,
                false => write!(f, "{space}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let mut set = Statuses::default();
        for good in ["200", "301-399"] {
            assert_eq!(set.add(good.as_bytes()), Some(()), "{good}");
        }
        for bad in ["", "-", "2xx", "99", "1000", "300-200", "+200", "200-", "200-300-400"] {
            assert_eq!(set.add(bad.as_bytes()), None, "{bad}");
        }
        assert!(set.contains(200) && set.contains(399) && !set.contains(300));
        assert_eq!(set.to_string(), "200 301-399");
    }
}
