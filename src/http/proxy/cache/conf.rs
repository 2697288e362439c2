//! Rows of `*_cache*`: where caches lie, and what a location keeps in them.

use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};

use crate::{
    base::units,
    conf::{Builder, Diag, Directive, Part, Scope, inherit},
    http::{method::Method, template::Template},
};

use super::{
    super::settings::next,
    zone::{self, Zone, ZoneSpec},
};

/// Settings of one block.
#[derive(Default)]
pub struct CacheConf {
    /// Nothing inside is `off`.
    pub zone: Option<Option<Template>>,
    pub key: Option<Template>,
    pub valid: Option<Arc<Vec<Valid>>>,
    pub bypass: Option<Arc<Vec<Template>>>,
    pub no_cache: Option<Arc<Vec<Template>>>,
    pub min_uses: Option<u64>,
    pub max_range_offset: Option<u64>,
    pub methods: Option<u32>,
    pub use_stale: Option<u32>,
    pub lock: Option<bool>,
    pub lock_timeout_ms: Option<u64>,
    pub lock_age_ms: Option<u64>,
    pub revalidate: Option<bool>,
    pub convert_head: Option<bool>,
    pub background_update: Option<bool>,
}

/// How long answers of one status are good; none is any status.
#[derive(Clone, Copy)]
pub struct Valid {
    status: Option<u16>,
    seconds: i64,
}

impl CacheConf {
    pub fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: zone, key, valid, bypass, no_cache, min_uses, max_range_offset,
            methods, use_stale, lock, lock_timeout_ms, lock_age_ms, revalidate, convert_head,
            background_update);
    }

    /// Seconds an answer is good for by `proxy_cache_valid`.
    pub fn valid_for(&self, status: u16) -> Option<i64> {
        let fits = |valid: &&Valid| valid.status.is_none_or(|own| own == status);
        self.valid.as_ref()?.iter().find(fits).map(|valid| valid.seconds)
    }

    pub fn use_stale(&self) -> u32 {
        let mask = self.use_stale.unwrap_or(0);
        match mask {
            _ if mask & next::OFF != 0 => 0,
            _ if mask & next::ERROR != 0 => mask | next::NO_LIVE,
            _ => mask,
        }
    }

    pub fn lock_age_ms(&self) -> u64 {
        self.lock_age_ms.unwrap_or(5000)
    }
}

/// `use_stale updating`: somebody is renewing the answer already.
pub const UPDATING: u32 = 1 << 13;

/// The rows of one protocol's cache.
macro_rules! cache_rows {
    ($prefix:literal, $part:ty) => {{
        use $crate::{
            conf::row::{HTTP, HTTP_LEVELS, at_least, row, take},
            http::{proxy::family::Settings as _, template::Template},
        };
        [
            row(concat!($prefix, "_cache"), HTTP_LEVELS, take(1), |b, d| {
                let zone = $crate::http::proxy::cache::conf::zone_name(b, d)?;
                d.once(&mut b.part::<$part>().settings().cache.zone, |_| Ok(zone))
            }),
            row(concat!($prefix, "_cache_key"), HTTP_LEVELS, take(1), |b, d| {
                let key = Template::compile(b, d.arg(1))?;
                d.once(&mut b.part::<$part>().settings().cache.key, |_| Ok(key))
            }),
            row(concat!($prefix, "_cache_path"), HTTP, at_least(2), |b, d| {
                $crate::http::proxy::cache::conf::set_path(b, d)
            }),
            row(concat!($prefix, "_cache_valid"), HTTP_LEVELS, at_least(1), |b, d| {
                $crate::http::proxy::cache::conf::set_valid(
                    &mut b.part::<$part>().settings().cache.valid,
                    d,
                )
            }),
            row(concat!($prefix, "_cache_bypass"), HTTP_LEVELS, at_least(1), |b, d| {
                let conditions = $crate::http::proxy::cache::conf::conditions(b, d)?;
                d.once(&mut b.part::<$part>().settings().cache.bypass, |_| Ok(conditions))
            }),
            row(concat!($prefix, "_no_cache"), HTTP_LEVELS, at_least(1), |b, d| {
                let conditions = $crate::http::proxy::cache::conf::conditions(b, d)?;
                d.once(&mut b.part::<$part>().settings().cache.no_cache, |_| Ok(conditions))
            }),
            row(concat!($prefix, "_cache_min_uses"), HTTP_LEVELS, take(1), |b, d| {
                d.number_slot(&mut b.part::<$part>().settings().cache.min_uses)
            }),
            row(concat!($prefix, "_cache_max_range_offset"), HTTP_LEVELS, take(1), |b, d| {
                d.offset_slot(&mut b.part::<$part>().settings().cache.max_range_offset)
            }),
            row(concat!($prefix, "_cache_methods"), HTTP_LEVELS, at_least(1), |b, d| {
                let mask = $crate::http::proxy::cache::conf::methods(b, d)?;
                d.once(&mut b.part::<$part>().settings().cache.methods, |_| Ok(mask))
            }),
            row(concat!($prefix, "_cache_use_stale"), HTTP_LEVELS, at_least(1), |b, d| {
                let mask = $crate::http::proxy::cache::conf::use_stale(b, d)?;
                d.once(&mut b.part::<$part>().settings().cache.use_stale, |_| Ok(mask))
            }),
            row(concat!($prefix, "_cache_lock"), HTTP_LEVELS, take(1), |b, d| {
                d.flag_slot(&mut b.part::<$part>().settings().cache.lock)
            }),
            row(concat!($prefix, "_cache_lock_timeout"), HTTP_LEVELS, take(1), |b, d| {
                d.msec_slot(&mut b.part::<$part>().settings().cache.lock_timeout_ms)
            }),
            row(concat!($prefix, "_cache_lock_age"), HTTP_LEVELS, take(1), |b, d| {
                d.msec_slot(&mut b.part::<$part>().settings().cache.lock_age_ms)
            }),
            row(concat!($prefix, "_cache_revalidate"), HTTP_LEVELS, take(1), |b, d| {
                d.flag_slot(&mut b.part::<$part>().settings().cache.revalidate)
            }),
            row(concat!($prefix, "_cache_background_update"), HTTP_LEVELS, take(1), |b, d| {
                d.flag_slot(&mut b.part::<$part>().settings().cache.background_update)
            }),
        ]
    }};
}

pub(crate) use cache_rows;

/// Caches of a configuration, in its `http` block.
#[derive(Default)]
pub struct Paths {
    zones: Vec<(BString, Arc<Zone>)>,
    /// Names locations asked for, and where.
    wanted: Vec<(BString, BString, Option<crate::conf::Place>)>,
}

impl Part for Paths {
    fn inherit(&mut self, _parent: &Self) {}
}

/// The cache of that name.
pub fn zone(http: &Scope, name: &[u8]) -> Option<Arc<Zone>> {
    let zones = &http.part::<Paths>().zones;
    zones.iter().find(|(known, _)| known == name).map(|(_, zone)| zone.clone())
}

/// All caches of a configuration.
pub fn zones(http: &Scope) -> Vec<Arc<Zone>> {
    http.part::<Paths>().zones.iter().map(|(_, zone)| zone.clone()).collect()
}

/// Complains about caches that no `*_cache_path` describes.
pub fn finish(b: &mut Builder<'_>, http: &mut Scope) -> Result<(), Diag> {
    let wanted = std::mem::take(&mut b.main::<Paths>().wanted);
    for (directive, name, place) in wanted {
        if zone(http, &name).is_none() {
            let mut diag = Diag::emerg(format!("\"{directive}\" zone \"{name}\" is unknown"));
            diag.place = place;
            b.report(diag.nowhere());
        }
    }
    Ok(())
}

/// `zone | off`
pub fn zone_name(b: &mut Builder<'_>, d: &Directive) -> Result<Option<Template>, Diag> {
    if d.arg(1) == "off" {
        return Ok(None);
    }
    if d.arg(1).is_empty() {
        return Err(Diag::emerg(format!("invalid value in \"{}\" directive", d.name())));
    }
    let name = Template::compile(b, d.arg(1))?;
    if name.is_constant() {
        let wanted = (d.name().to_owned(), d.arg(1).to_owned(), Some(d.at.place));
        b.main::<Paths>().wanted.push(wanted);
    }
    Ok(Some(name))
}

/// `path levels=1:2 keys_zone=name:size …`
pub fn set_path(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut spec = ZoneSpec::new(b.prefix_path(d.arg(1)));
    for index in 2..=d.arg_count() {
        set_parameter(&mut spec, d, index)?;
    }
    if spec.name.is_empty() {
        return Err(Diag::emerg(format!("\"{}\" must have \"keys_zone\" parameter", d.name())));
    }
    let name = spec.name.clone();
    if b.part::<Paths>().zones.iter().any(|(known, _)| *known == name) {
        return Err(Diag::emerg(format!("duplicate zone \"{name}\"")));
    }
    if let Err(error) = std::fs::create_dir_all(&spec.path) {
        let errno = crate::base::errno::Errno(&error);
        return Err(Diag::emerg(format!("mkdir() \"{}\" failed {errno}", spec.path.display())));
    }
    let zone = zone::registered(spec);
    b.part::<Paths>().zones.push((name, zone));
    Ok(())
}

fn set_parameter(spec: &mut ZoneSpec, d: &Directive, index: usize) -> Result<(), Diag> {
    let word = d.arg(index);
    let (key, value) = match word.find_byte(b'=') {
        Some(at) => (&word[..at], BStr::new(&word[at + 1..])),
        None => return Err(d.bad_param(index)),
    };
    let wrong = |what: &str| Diag::emerg(format!("invalid {what} value \"{word}\""));
    match key.as_bytes() {
        b"levels" => {
            let invalid = || Diag::emerg(format!("invalid \"levels\" \"{word}\""));
            spec.levels = levels(value).ok_or_else(invalid)?;
        }
        b"use_temp_path" => {
            spec.use_temp_path = match value.as_bytes() {
                b"on" => true,
                b"off" => false,
                _ => {
                    return Err(Diag::emerg(format!(
                        "invalid use_temp_path value \"{value}\", it must be \"on\" or \"off\""
                    )));
                }
            };
        }
        b"keys_zone" => {
            let bad = || Diag::emerg(format!("invalid keys zone size \"{value}\""));
            let (name, size) = value.split_once_str(":").ok_or_else(bad)?;
            let size = units::parse_size(size).ok_or_else(bad)?;
            if size < ZONE_LEAST_BYTES {
                return Err(Diag::emerg(format!("keys zone \"{value}\" is too small")));
            }
            // A key takes about 128 bytes in nginx's zone.
            spec.most = size / 128;
            spec.name = name.into();
        }
        b"inactive" => {
            spec.inactive_s = units::parse_sec(value).ok_or_else(|| wrong("inactive"))?;
        }
        b"max_size" => {
            spec.max_bytes = units::parse_offset(value).ok_or_else(|| wrong("max_size"))?;
        }
        b"min_free" => {
            spec.min_free = units::parse_offset(value).ok_or_else(|| wrong("min_free"))?;
        }
        // How nginx spreads the work over time: ours is done beside the traffic anyway.
        b"loader_files" | b"manager_files" | b"purger_files" => {
            units::parse_number(value).ok_or_else(|| wrong("files"))?;
        }
        b"loader_sleep" | b"loader_threshold" | b"manager_sleep" | b"manager_threshold"
        | b"purger_sleep" | b"purger_threshold" => {
            units::parse_msec(value).ok_or_else(|| wrong("time"))?;
        }
        _ => return Err(d.bad_param(index)),
    }
    Ok(())
}

/// `1:2`: how many digits name each folder.
fn levels(text: &BStr) -> Option<Vec<usize>> {
    let levels: Option<Vec<usize>> = text
        .split_str(":")
        .map(|digit| match digit {
            b"1" => Some(1),
            b"2" => Some(2),
            _ => None,
        })
        .collect();
    levels.filter(|levels| levels.len() <= 3)
}

/// `[code …] time`
pub fn set_valid(slot: &mut Option<Arc<Vec<Valid>>>, d: &Directive) -> Result<(), Diag> {
    let last = d.arg_count();
    let seconds = units::parse_sec(d.arg(last))
        .ok_or_else(|| Diag::emerg(format!("invalid time value \"{}\"", d.arg(last))))?;
    let seconds = seconds as i64;
    let list = slot.get_or_insert_with(Arc::default);
    let Some(list) = Arc::get_mut(list) else { return Ok(()) };
    if last == 1 {
        for status in [200, 301, 302] {
            list.push(Valid { status: Some(status), seconds });
        }
    }
    for index in 1..last {
        let status = match d.arg(index) {
            any if any == "any" => None,
            code => {
                let status = units::parse_number(code).filter(|code| (100..=599).contains(code));
                let wrong = || Diag::emerg(format!("invalid status \"{code}\""));
                Some(status.ok_or_else(wrong)? as u16)
            }
        };
        list.push(Valid { status, seconds });
    }
    Ok(())
}

pub fn conditions(b: &mut Builder<'_>, d: &Directive) -> Result<Arc<Vec<Template>>, Diag> {
    let all: Result<Vec<_>, _> =
        (1..=d.arg_count()).map(|index| Template::compile(b, d.arg(index))).collect();
    all.map(Arc::new)
}

pub fn methods(b: &mut Builder<'_>, d: &Directive) -> Result<u32, Diag> {
    let words = [("GET", Method::GET), ("HEAD", Method::HEAD), ("POST", Method::POST)];
    Ok(b.mask(d, &words)? | Method::GET | Method::HEAD)
}

pub fn use_stale(b: &mut Builder<'_>, d: &Directive) -> Result<u32, Diag> {
    let words: Vec<(&str, u32)> = next::WORDS
        .iter()
        .filter(|(word, _)| *word != "non_idempotent")
        .map(|(word, bits)| if *word == "updating" { (*word, UPDATING) } else { (*word, *bits) })
        .collect();
    b.mask(d, &words)
}

/// Eight pages, as nginx asks of every shared zone.
const ZONE_LEAST_BYTES: usize = 8 * 4096;
