//! Variables: a table of rows, slots for those the configuration mentions, and reading by name.
//!
//! ```text
//!  rows ("host", "arg_*", …) + `set $x` ── at load ──▶ VarTable ── $host in a template ──▶ slot 3
//!  request: VarSlots[3] unset? ─▶ row.read(r) ─▶ kept, unless the row says it changes
//! ```

use std::{cell::RefCell, net::IpAddr, rc::Rc, sync::Arc};

use bstr::{BStr, BString};
use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::regex::Groups;
use crate::base::regex::Regex;
use crate::conf::{Diag, Part};

pub type Read<S> = fn(&Rc<S>, name: &[u8]) -> Option<Bytes>;
pub type Write<S> = fn(&Rc<S>, value: Bytes);
/// A value computed by a feature that has its own state (`map`, `geo`, `split_clients`).
pub type Compute<S> = Arc<dyn Fn(&Rc<S>) -> Option<Bytes> + Send + Sync>;

/// What variables tell about: a request of http, a session of stream.
pub trait Subject: Sized + 'static {
    /// The variables of its configuration.
    fn table(&self) -> &VarTable<Self>;

    /// The values it has so far.
    fn values(&self) -> Rc<VarSlots>;

    /// `$1` and its kind: a group of the last regex match.
    fn group(&self, index: usize) -> Option<Bytes>;

    /// Keeps the groups of a match: as `$1` and its kind, and in the variables they name.
    fn keep_groups(self: &Rc<Self>, regex: &Regex, groups: Groups);

    /// Warns of a variable that is read before anybody has set it.
    fn uninitialized(&self, name: &BStr);

    /// The client's address; none for a unix socket.
    fn client_ip(&self) -> Option<IpAddr>;

    /// What forwarders say of the client before them, line by line.
    fn forwarded_for(&self) -> Vec<Bytes> {
        Vec::new()
    }
}

/// Stores `(?<name>…)` groups in the variables of that name.
pub fn keep_named_groups<S: Subject>(r: &Rc<S>, regex: &Regex, groups: &[Option<Bytes>]) {
    for (name, index) in regex.names() {
        let value = groups.get(*index).cloned().flatten();
        // A name the configuration uses was defined when the regex was read.
        let _ = write_by_name(r, name, value);
    }
}

/// A built-in variable.
pub struct VarRow<S> {
    /// Without `$`; a trailing `*` makes it a prefix (`arg_*`).
    pub name: &'static str,
    pub read: Read<S>,
    pub write: Option<Write<S>>,
    /// May be the target of `set`.
    pub changeable: bool,
    /// May be kept for the rest of the request.
    pub cacheable: bool,
}

/// A read-only variable whose value does not change during a request.
pub const fn var<S>(name: &'static str, read: Read<S>) -> VarRow<S> {
    VarRow { name, read, write: None, changeable: false, cacheable: true }
}

/// A read-only variable that is computed at each use.
pub const fn var_live<S>(name: &'static str, read: Read<S>) -> VarRow<S> {
    VarRow { name, read, write: None, changeable: false, cacheable: false }
}

enum Source<S: 'static> {
    Row(&'static VarRow<S>),
    /// Defined by `set`, a named capture, `auth_request_set` and the like.
    User,
    /// The same under the name of a built-in family (`set $arg_x`), which answers until it is set.
    UserOr(&'static VarRow<S>),
    Computed {
        compute: Compute<S>,
        cacheable: bool,
    },
    Unknown,
}

struct Slot<S: 'static> {
    name: BString,
    source: Source<S>,
}

/// All variables of a configuration.
pub struct VarTable<S: 'static> {
    rows: FxHashMap<&'static [u8], &'static VarRow<S>>,
    prefixes: Vec<&'static VarRow<S>>,
    slots: Vec<Slot<S>>,
    by_name: FxHashMap<BString, u32>,
}

/// A variable mentioned in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VarRef(u32);

impl<S: 'static> Part for VarTable<S> {
    fn inherit(&mut self, _parent: &Self) {}
}

impl<S> Default for VarTable<S> {
    fn default() -> Self {
        Self {
            rows: FxHashMap::default(),
            prefixes: Vec::new(),
            slots: Vec::new(),
            by_name: FxHashMap::default(),
        }
    }
}

impl<S> VarTable<S> {
    /// Makes built-in rows known; names are matched in lower case, as nginx does.
    pub fn register(&mut self, rows: &'static [VarRow<S>]) {
        for row in rows {
            match row.name.strip_suffix('*') {
                Some(_) => self.prefixes.push(row),
                None => _ = self.rows.insert(row.name.as_bytes(), row),
            }
        }
        self.prefixes.sort_by_key(|row| std::cmp::Reverse(row.name.len()));
    }

    /// Notes that the configuration reads `name`; whether it exists is checked by `check`.
    pub fn mention(&mut self, name: &[u8]) -> VarRef {
        let name = BString::from(name.to_ascii_lowercase());
        if let Some(slot) = self.by_name.get(&name) {
            return VarRef(*slot);
        }
        let slot = self.slots.len() as u32;
        self.by_name.insert(name.clone(), slot);
        self.slots.push(Slot { name, source: Source::Unknown });
        VarRef(slot)
    }

    /// Defines a variable the configuration writes.
    pub fn define(&mut self, name: &[u8]) -> Result<VarRef, Diag> {
        let at = self.mention(name);
        let lower = name.to_ascii_lowercase();
        if let Some(row) = self.exact_row(&lower) {
            if !row.changeable {
                let name = bstr::BStr::new(&lower);
                return Err(Diag::emerg(format!("the duplicate \"{name}\" variable")));
            }
            return Ok(at);
        }
        let fallback = self.row(&lower);
        let slot = &mut self.slots[at.0 as usize];
        if matches!(slot.source, Source::Unknown) {
            slot.source = fallback.map_or(Source::User, Source::UserOr);
        }
        Ok(at)
    }

    /// Defines a variable computed by a feature.
    pub fn define_computed(&mut self, name: &[u8], compute: Compute<S>, cacheable: bool) -> VarRef {
        let at = self.mention(name);
        self.slots[at.0 as usize].source = Source::Computed { compute, cacheable };
        at
    }

    /// Connects the mentioned names with their rows; names that do not exist are returned.
    pub fn resolve(&mut self) -> Vec<BString> {
        let mut unknown = Vec::new();
        for at in 0..self.slots.len() {
            if let Source::Unknown = self.slots[at].source {
                let name = self.slots[at].name.clone();
                match self.row(&name) {
                    Some(row) => self.slots[at].source = Source::Row(row),
                    None => unknown.push(name),
                }
            }
        }
        unknown
    }

    /// The name a mentioned variable was mentioned by.
    pub fn name(&self, at: VarRef) -> &BString {
        &self.slots[at.0 as usize].name
    }

    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    fn exact_row(&self, name: &[u8]) -> Option<&'static VarRow<S>> {
        self.rows.get(name).copied()
    }

    fn row(&self, name: &[u8]) -> Option<&'static VarRow<S>> {
        let of_family =
            |row: &&&VarRow<S>| name.starts_with(row.name.trim_end_matches('*').as_bytes());
        self.exact_row(name).or_else(|| self.prefixes.iter().find(of_family).copied())
    }
}

/// The values of one request (or of a family of requests that share them).
pub struct VarSlots {
    values: RefCell<Vec<Value>>,
}

#[derive(Clone, Default)]
enum Value {
    #[default]
    Unset,
    Missing,
    Set(Bytes),
}

impl VarSlots {
    pub fn new(count: usize) -> Self {
        Self { values: RefCell::new(vec![Value::Unset; count]) }
    }

    /// A copy with the same values, for `copy_all_vars`.
    pub fn duplicate(&self) -> Self {
        Self { values: RefCell::new(self.values.borrow().clone()) }
    }

    fn value(&self, at: VarRef) -> Value {
        self.values.borrow().get(at.0 as usize).cloned().unwrap_or_default()
    }

    fn store(&self, at: VarRef, value: Value) {
        if let Some(slot) = self.values.borrow_mut().get_mut(at.0 as usize) {
            *slot = value;
        }
    }
}

/// Reads a variable the configuration mentioned.
pub fn read<S: Subject>(r: &Rc<S>, at: VarRef) -> Option<Bytes> {
    let slot = r.table().slots.get(at.0 as usize)?;
    let values = r.values();
    let changing = match slot.source {
        Source::Row(row) | Source::UserOr(row) => !row.cacheable,
        Source::Computed { cacheable, .. } => !cacheable,
        _ => false,
    };
    match values.value(at) {
        // A value that changes is never kept; what is here was set.
        Value::Set(value) => return Some(value),
        Value::Missing => return None,
        Value::Unset => {}
    }
    let value = match &slot.source {
        Source::Row(row) | Source::UserOr(row) => (row.read)(r, &slot.name),
        Source::Computed { compute, .. } => compute(r),
        Source::User | Source::Unknown => {
            values.store(at, Value::Set(Bytes::new()));
            r.uninitialized(slot.name.as_ref());
            return Some(Bytes::new());
        }
    };
    if !changing {
        values.store(at, value.clone().map_or(Value::Missing, Value::Set));
    }
    value
}

/// Reads a variable by name, as `ngx.var.NAME` does.
pub fn read_by_name<S: Subject>(r: &Rc<S>, name: &[u8]) -> Option<Bytes> {
    let lower;
    let name = if name.iter().any(u8::is_ascii_uppercase) {
        lower = name.to_ascii_lowercase();
        &lower[..]
    } else {
        name
    };
    let table = r.table();
    if let Some(slot) = table.by_name.get(BStr::new(name)) {
        let at = VarRef(*slot);
        if let Source::User = table.slots[*slot as usize].source {
            // Reading by name does not warn about a variable nobody has set yet.
            return match r.values().value(at) {
                Value::Set(value) => Some(value),
                Value::Unset => Some(Bytes::new()),
                Value::Missing => None,
            };
        }
        return read(r, at);
    }
    let row = table.row(name)?;
    (row.read)(r, name)
}

/// Writes a variable the configuration mentioned.
pub fn write<S: Subject>(r: &Rc<S>, at: VarRef, value: Option<Bytes>) {
    if let Some(Slot { source: Source::Row(VarRow { write: Some(write), .. }), .. }) =
        r.table().slots.get(at.0 as usize)
    {
        write(r, value.unwrap_or_default());
        return;
    }
    r.values().store(at, value.map_or(Value::Missing, Value::Set));
}

/// Writes a variable by name.
pub fn write_by_name<S: Subject>(
    r: &Rc<S>,
    name: &[u8],
    value: Option<Bytes>,
) -> Result<(), VarWriteError> {
    let lower = name.to_ascii_lowercase();
    let table = r.table();
    let row = table.row(&lower);
    if let Some(slot) = table.by_name.get(BStr::new(&lower)) {
        match table.slots[*slot as usize].source {
            Source::Row(row) if !row.changeable => return Err(unchangeable(row)),
            Source::Computed { .. } => return Err(VarWriteError::NotChangeable),
            _ => write(r, VarRef(*slot), value),
        }
        return Ok(());
    }
    if let Some(row) = row.filter(|row| !row.changeable) {
        return Err(unchangeable(row));
    }
    match row.and_then(|row| row.write) {
        Some(write) => write(r, value.unwrap_or_default()),
        None => return Err(VarWriteError::NotFound),
    }
    Ok(())
}

/// nginx knows families such as `$arg_*` by no name.
fn unchangeable<S>(row: &VarRow<S>) -> VarWriteError {
    if row.name.ends_with('*') { VarWriteError::NotFound } else { VarWriteError::NotChangeable }
}

/// Why a variable could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VarWriteError {
    NotFound,
    NotChangeable,
}
