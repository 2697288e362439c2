//! Zones of counters by key: what `limit_conn` and `limit_req` count in, in http and in stream.
//!
//! ```text
//!  limit_conn_zone $key zone=name:1m;  ─▶ Zone, shared by all workers and by reloads
//! ```

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bstr::{BStr, BString, ByteSlice};
use bytes::Bytes;

use super::template::Template;
use super::vars::Subject;
use crate::base::log::Level;
use crate::base::units;
use crate::conf::{Builder, Diag, Directive, Part};

/// A table of counters by key, bounded by the zone's size.
pub struct Zone<T> {
    pub name: BString,
    pub most: usize,
    counters: Mutex<HashMap<Bytes, T>>,
}

/// A zone and what it counts by.
pub struct Named<S, T> {
    pub key: Template<S>,
    pub zone: Arc<Zone<T>>,
    /// How many a second, in thousandths.
    pub rate: u64,
}

/// The zones of a configuration, by name.
pub struct Zones<S, T>(HashMap<BString, Arc<Named<S, T>>>);

impl<S, T> Default for Zones<S, T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<S: 'static, T: Send + Sync + 'static> Part for Zones<S, T> {
    fn inherit(&mut self, _parent: &Self) {}
}

/// Counters of all configurations: a reload goes on counting.
pub type Registry<T> = LazyLock<Mutex<HashMap<BString, Arc<Zone<T>>>>>;

impl<T> Zone<T> {
    pub fn counters(&self) -> MutexGuard<'_, HashMap<Bytes, T>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `zone=name:size`, with the same counters as before a reload when name and size are the same.
fn zone<T>(registry: &Registry<T>, value: &BStr) -> Result<Arc<Zone<T>>, Diag> {
    let invalid = || Diag::emerg(format!("invalid zone size \"zone={value}\""));
    let (name, size) = value.split_once_str(":").ok_or_else(invalid)?;
    let size = units::parse_size(size).ok_or_else(invalid)?;
    if size < ZONE_BYTES_MIN {
        return Err(Diag::emerg(format!("zone \"zone={value}\" is too small")));
    }
    let most = size / NODE_BYTES;
    let mut known = registry.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(zone) = known.get(BStr::new(name)).filter(|zone| zone.most == most) {
        return Ok(zone.clone());
    }
    let zone = Arc::new(Zone { name: name.into(), most, counters: Mutex::default() });
    known.insert(name.into(), zone.clone());
    Ok(zone)
}

/// Reads `limit_*_zone`: key, zone, and the rate where there is one.
/// `limit_*_zone key zone=name:size`
pub fn add<S: Subject, T: Send + Sync + 'static>(
    b: &mut Builder<'_>,
    d: &Directive,
    registry: &Registry<T>,
    needs_rate: bool,
) -> Result<(), Diag> {
    let key = Template::<S>::compile(b, d.arg(1))?;
    let (mut found, mut rate) = (None, 1000);
    for index in 2..=d.arg_count() {
        let word = d.arg(index);
        if let Some(value) = word.strip_prefix(b"zone=") {
            found = Some(zone(registry, value.as_bstr())?);
        } else if let Some(value) = word.strip_prefix(b"rate=").filter(|_| needs_rate) {
            let (number, per_s) = match value {
                [number @ .., b'r', b'/', b's'] => (number, 1),
                [number @ .., b'r', b'/', b'm'] => (number, 60),
                other => (other, 1),
            };
            let number = units::parse_number(number).filter(|number| *number > 0);
            let invalid = || Diag::emerg(format!("invalid rate \"{word}\""));
            rate = number.ok_or_else(invalid)? * 1000 / per_s;
        } else {
            return Err(d.bad_param(index));
        }
    }
    let missing = || Diag::emerg(format!("\"{}\" must have \"zone\" parameter", d.name()));
    let zone = found.ok_or_else(missing)?;
    let name = zone.name.clone();
    let zones = &mut b.main::<Zones<S, T>>().0;
    if zones.contains_key(&name) {
        let text = format!("{} \"{name}\" is already bound to key", d.name());
        return Err(Diag::emerg(text));
    }
    zones.insert(name, Arc::new(Named { key, zone, rate }));
    Ok(())
}

/// The zone of that name.
pub fn find<S: Subject, T: Send + Sync + 'static>(
    b: &mut Builder<'_>,
    name: &[u8],
) -> Result<Arc<Named<S, T>>, Diag> {
    let found = b.main::<Zones<S, T>>().0.get(BStr::new(name)).cloned();
    let name = BStr::new(name);
    found.ok_or_else(|| Diag::emerg(format!("unknown shared memory zone \"{name}\"")))
}

/// `limit_*_log_level`
pub const LEVELS: &[(&str, Level)] = &[
    ("info", Level::Info),
    ("notice", Level::Notice),
    ("warn", Level::Warn),
    ("error", Level::Error),
];

const NODE_BYTES: usize = 128;
const ZONE_BYTES_MIN: usize = 32 * 1024;
