//! Transactions: guards that must hold, and what is done when they do.
//!
//! ```text
//!  Txn::new().if_absent("/a").put("/a", "1").delete("/b")     all of it or nothing, one revision
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

/// What to do, and under which conditions.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    pub guards: Vec<Guard>,
    pub ops: Vec<Op>,
}

/// A condition.
#[derive(Clone, Debug)]
pub enum Guard {
    Absent(Arc<str>),
    Present(Arc<str>),
    /// The key was last changed at this revision.
    Modified(Arc<str>, u64),
}

/// One step.
#[derive(Clone, Debug)]
pub enum Op {
    Put { key: Arc<str>, value: Bytes, ttl: Option<Duration> },
    Delete { key: Arc<str> },
}

impl Guard {
    pub fn key(&self) -> &str {
        match self {
            Self::Absent(key) | Self::Present(key) | Self::Modified(key, _) => key,
        }
    }
}

impl Op {
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

impl Txn {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn if_absent(self, key: &str) -> Self {
        self.guard(Guard::Absent(key.into()))
    }

    pub fn if_present(self, key: &str) -> Self {
        self.guard(Guard::Present(key.into()))
    }

    pub fn if_modified(self, key: &str, revision: u64) -> Self {
        self.guard(Guard::Modified(key.into(), revision))
    }

    pub fn put(self, key: &str, value: impl Into<Bytes>) -> Self {
        self.op(Op::Put { key: key.into(), value: value.into(), ttl: None })
    }

    /// A value that goes by itself after this time.
    pub fn put_for(self, key: &str, value: impl Into<Bytes>, ttl: Duration) -> Self {
        self.op(Op::Put { key: key.into(), value: value.into(), ttl: Some(ttl) })
    }

    pub fn delete(self, key: &str) -> Self {
        self.op(Op::Delete { key: key.into() })
    }

    fn guard(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }

    fn op(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }
}
