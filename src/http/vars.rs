//! Variables: a table of rows, slots for those the configuration mentions, and reading by name.
//!
//! ```text
//!  rows ("host", "arg_*", …) + `set $x` ── at load ──▶ VarTable ── $host in a template ──▶ slot 3
//!  request: VarSlots[3] unset? ─▶ row.read(r) ─▶ kept, unless the row says it changes
//! ```

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use bstr::BString;
use bytes::Bytes;

use crate::{
    base::log::Level,
    conf::{Diag, Part},
};

use super::request::Request;

pub type Read = fn(&Rc<Request>, name: &[u8]) -> Option<Bytes>;
pub type Write = fn(&Rc<Request>, value: Bytes);
/// A value computed by a feature that has its own state (`map`, `geo`, `split_clients`).
pub type Compute = Arc<dyn Fn(&Rc<Request>) -> Option<Bytes> + Send + Sync>;

/// A built-in variable.
#[derive(Clone, Copy)]
pub struct VarRow {
    /// Without `$`; a trailing `*` makes it a prefix (`arg_*`).
    pub name: &'static str,
    pub read: Read,
    pub write: Option<Write>,
    /// May be the target of `set`.
    pub changeable: bool,
    /// May be kept for the rest of the request.
    pub cacheable: bool,
}

/// A read-only variable whose value does not change during a request.
pub const fn var(name: &'static str, read: Read) -> VarRow {
    VarRow { name, read, write: None, changeable: false, cacheable: true }
}

/// A read-only variable that is computed at each use.
pub const fn var_live(name: &'static str, read: Read) -> VarRow {
    VarRow { name, read, write: None, changeable: false, cacheable: false }
}

#[derive(Clone)]
enum Source {
    Row(&'static VarRow),
    /// Defined by `set`, a named capture, `auth_request_set` and the like.
    User,
    /// The same under the name of a built-in family (`set $arg_x`), which answers until it is set.
    UserOr(&'static VarRow),
    Computed {
        compute: Compute,
        cacheable: bool,
    },
    Unknown,
}

struct Slot {
    name: BString,
    source: Source,
}

/// All variables of a configuration.
#[derive(Default)]
pub struct VarTable {
    rows: HashMap<&'static str, &'static VarRow>,
    prefixes: Vec<&'static VarRow>,
    slots: Vec<Slot>,
    by_name: HashMap<BString, u32>,
}

/// A variable mentioned in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VarRef(u32);

impl Part for VarTable {
    fn inherit(&mut self, _parent: &Self) {}
}

impl VarTable {
    /// Makes built-in rows known; names are matched in lower case, as nginx does.
    pub fn register(&mut self, rows: &'static [VarRow]) {
        for row in rows {
            match row.name.strip_suffix('*') {
                Some(_) => self.prefixes.push(row),
                None => _ = self.rows.insert(row.name, row),
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
    pub fn define_computed(&mut self, name: &[u8], compute: Compute, cacheable: bool) -> VarRef {
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

    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    fn exact_row(&self, name: &[u8]) -> Option<&'static VarRow> {
        self.rows.get(std::str::from_utf8(name).ok()?).copied()
    }

    fn row(&self, name: &[u8]) -> Option<&'static VarRow> {
        let text = std::str::from_utf8(name).ok()?;
        if let Some(row) = self.exact_row(name) {
            return Some(row);
        }
        self.prefixes.iter().copied().find(|row| text.starts_with(row.name.trim_end_matches('*')))
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

impl Request {
    /// Reads a variable the configuration mentioned.
    pub fn var(self: &Rc<Self>, at: VarRef) -> Option<Bytes> {
        let table = &self.conn.http.vars;
        let slot = table.slots.get(at.0 as usize)?;
        let vars = self.vars.borrow().clone();
        let changing = match slot.source {
            Source::Row(row) | Source::UserOr(row) => !row.cacheable,
            Source::Computed { cacheable, .. } => !cacheable,
            _ => false,
        };
        match vars.value(at) {
            // A value that changes is never kept; what is here was set.
            Value::Set(value) => return Some(value),
            Value::Missing => return None,
            Value::Unset => {}
        }
        let value = match &slot.source {
            Source::Row(row) | Source::UserOr(row) => (row.read)(self, &slot.name),
            Source::Computed { compute, .. } => compute(self),
            Source::User | Source::Unknown => {
                vars.store(at, Value::Set(Bytes::new()));
                return self.uninitialized(&slot.name);
            }
        };
        if !changing {
            vars.store(at, value.clone().map_or(Value::Missing, Value::Set));
        }
        value
    }

    /// Reads a variable by name, as `ngx.var.NAME` does.
    pub fn var_by_name(self: &Rc<Self>, name: &[u8]) -> Option<Bytes> {
        let lower;
        let name = if name.iter().any(u8::is_ascii_uppercase) {
            lower = name.to_ascii_lowercase();
            &lower[..]
        } else {
            name
        };
        let table = &self.conn.http.vars;
        if let Some(slot) = table.by_name.get(bstr::BStr::new(name)) {
            let at = VarRef(*slot);
            if let Source::User = table.slots[*slot as usize].source {
                // Reading by name does not warn about a variable nobody has set yet.
                return match self.vars.borrow().value(at) {
                    Value::Set(value) => Some(value),
                    Value::Unset => Some(Bytes::new()),
                    Value::Missing => None,
                };
            }
            return self.var(at);
        }
        let row = table.row(name)?;
        (row.read)(self, name)
    }

    /// Writes a variable the configuration mentioned.
    pub fn set_var(self: &Rc<Self>, at: VarRef, value: Option<Bytes>) {
        if let Some(Slot { source: Source::Row(VarRow { write: Some(write), .. }), .. }) =
            self.conn.http.vars.slots.get(at.0 as usize)
        {
            write(self, value.unwrap_or_default());
            return;
        }
        let vars = self.vars.borrow().clone();
        vars.store(at, value.map_or(Value::Missing, Value::Set));
    }

    /// Writes a variable by name.
    pub fn set_var_by_name(
        self: &Rc<Self>,
        name: &[u8],
        value: Option<Bytes>,
    ) -> Result<(), VarWriteError> {
        let lower = name.to_ascii_lowercase();
        let table = &self.conn.http.vars;
        let row = table.row(&lower);
        if let Some(slot) = table.by_name.get(bstr::BStr::new(&lower)) {
            match table.slots[*slot as usize].source {
                Source::Row(row) if !row.changeable => return Err(unchangeable(row)),
                Source::Computed { .. } => return Err(VarWriteError::NotChangeable),
                _ => self.set_var(VarRef(*slot), value),
            }
            return Ok(());
        }
        if let Some(row) = row.filter(|row| !row.changeable) {
            return Err(unchangeable(row));
        }
        match row.and_then(|row| row.write) {
            Some(write) => write(self, value.unwrap_or_default()),
            None => return Err(VarWriteError::NotFound),
        }
        Ok(())
    }

    fn uninitialized(self: &Rc<Self>, name: &[u8]) -> Option<Bytes> {
        if self.with_location(|location| location.core().uninitialized_variable_warn()) {
            let name = bstr::BStr::new(name);
            self.log(Level::Warn, format_args!("using uninitialized \"{name}\" variable"));
        }
        Some(Bytes::new())
    }
}

/// nginx knows families such as `$arg_*` by no name.
fn unchangeable(row: &VarRow) -> VarWriteError {
    if row.name.ends_with('*') { VarWriteError::NotFound } else { VarWriteError::NotChangeable }
}

/// Why a variable could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VarWriteError {
    NotFound,
    NotChangeable,
}
