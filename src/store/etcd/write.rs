//! Transactions of the store as transactions of etcd.
//!
//! ```text
//!  guards ─▶ compare    steps ─▶ success    failure: the guarded keys, to tell which did not hold
//! ```

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use super::client::{Client, Fault, Kind};
use super::spec::Names;
use super::wire::{LeaseAnswer, Number, OpAnswer, TxnAnswer, raw};
use crate::store::state::State;
use crate::store::txn::{Guard, Op, Txn};
use crate::store::{Change, Committed, Entry, StoreError};

/// Who writes.
pub struct Desk {
    pub client: Rc<Client>,
    pub names: Rc<Names>,
    pub state: Arc<Mutex<State>>,
    /// The revision readers see.
    pub seen: watch::Receiver<u64>,
}

impl Desk {
    /// Durable in etcd, and visible here, when it returns.
    pub async fn commit(&self, txn: &Txn) -> Result<Committed, StoreError> {
        let question = self.question(txn).await?;
        let answer: Result<TxnAnswer, Fault> =
            self.client.call(Kind::Write, "/v3/kv/txn", &question).await;
        let answer = answer.map_err(unavailable)?;
        let revision = answer.header.revision.0;
        if !answer.succeeded {
            return Err(self.refused(txn, answer));
        }
        let mut answers = Vec::new();
        flatten(answer.responses, &mut answers);
        let ops = last_of_each(&txn.ops).into_iter().zip(answers);
        let changes: Vec<Change> =
            ops.filter_map(|(op, answer)| self.change(op, answer, revision)).collect();
        if !changes.is_empty() {
            self.wait_for(revision).await;
        }
        Ok(Committed { revision, changes })
    }

    async fn question(&self, txn: &Txn) -> Result<Value, StoreError> {
        let key = |key: &str| -> Result<String, StoreError> {
            let name = self.names.foreign(key);
            let strange = || StoreError::Unavailable(format!("no place for \"{key}\"").into());
            name.map(|name| raw(&name)).ok_or_else(strange)
        };
        let mut compare = Vec::new();
        let mut failure = Vec::new();
        for guard in &txn.guards {
            let name = key(guard.key())?;
            failure.push(json!({ "request_range": { "key": &name, "keys_only": true } }));
            compare.push(match guard {
                Guard::Absent(_) => created(&name, "EQUAL"),
                Guard::Present(_) => created(&name, "GREATER"),
                Guard::Modified(_, at) => json!({
                    "key": name, "target": "MOD", "mod_revision": at.to_string(),
                    "result": "EQUAL",
                }),
            });
        }
        let mut success = Vec::new();
        for op in last_of_each(&txn.ops) {
            success.push(match op {
                Op::Delete { key: name } => {
                    json!({ "request_delete_range": { "key": key(name)?, "prev_kv": true } })
                }
                Op::Put { key: name, value, ttl } => {
                    let lease = match ttl {
                        Some(ttl) => self.lease(*ttl).await?,
                        None => 0,
                    };
                    json!({ "request_put": {
                        "key": key(name)?, "value": raw(value), "prev_kv": true,
                        "lease": lease.to_string(),
                    }})
                }
            });
        }
        Ok(json!({ "compare": compare, "success": nested(success), "failure": failure }))
    }

    async fn lease(&self, ttl: Duration) -> Result<u64, StoreError> {
        let seconds = ttl.as_millis().div_ceil(1000).max(1).to_string();
        let question = json!({ "TTL": seconds });
        let answer: Result<LeaseAnswer, Fault> =
            self.client.call(Kind::Write, "/v3/lease/grant", &question).await;
        answer.map(|answer| answer.id.0).map_err(unavailable)
    }

    /// Which guard did not hold, by what etcd has instead.
    fn refused(&self, txn: &Txn, answer: TxnAnswer) -> StoreError {
        let there = |answer: &OpAnswer| -> Option<Number> {
            Some(answer.response_range.as_ref()?.kvs.first()?.mod_revision)
        };
        let pairs = txn.guards.iter().zip(answer.responses.iter().map(there));
        let broken = pairs.into_iter().find(|(guard, found)| match guard {
            Guard::Absent(_) => found.is_some(),
            Guard::Present(_) => found.is_none(),
            Guard::Modified(_, at) => *found != Some(Number(*at)),
        });
        let guard = broken.map(|(guard, _)| guard).or(txn.guards.first());
        StoreError::Conflict(guard.map_or("", |guard| guard.key()).into())
    }

    fn change(&self, op: &Op, answer: OpAnswer, revision: u64) -> Option<Change> {
        match op {
            Op::Delete { .. } => {
                let gone = answer.response_delete_range?.prev_kvs.into_iter().next()?;
                Some(Change { before: gone.entry(&self.names), after: None })
            }
            Op::Put { key, value, .. } => {
                let before = answer.response_put?.prev_kv.and_then(|kv| kv.entry(&self.names));
                let after = Entry {
                    key: key.clone(),
                    value: value.clone(),
                    created: before.as_ref().map_or(revision, |before| before.created),
                    modified: revision,
                    version: before.as_ref().map_or(1, |before| before.version + 1),
                    expires_at_ms: None,
                };
                Some(Change { before, after: Some(Arc::new(after)) })
            }
        }
    }

    /// What is durable is acknowledged in any case: when the watch is late, readers are too.
    async fn wait_for(&self, revision: u64) {
        if self.state.lock().unwrap_or_else(PoisonError::into_inner).revision() < revision {
            let mut seen = self.seen.clone();
            let _ = timeout(SEEN_MOST, seen.wait_for(|seen| *seen >= revision)).await;
        }
    }
}

fn created(name: &str, result: &str) -> Value {
    json!({ "key": name, "target": "CREATE", "create_revision": "0", "result": result })
}

/// etcd wants each key once in a transaction; the last step on a key is what counts.
fn last_of_each(ops: &[Op]) -> Vec<&Op> {
    let last: HashMap<&str, usize> =
        ops.iter().enumerate().map(|(at, op)| (op.key(), at)).collect();
    let kept = ops.iter().enumerate().filter(|(at, op)| last.get(op.key()) == Some(at));
    kept.map(|(_, op)| op).collect()
}

/// etcd limits the steps of a transaction, but not those of the transactions within it.
fn nested(steps: Vec<Value>) -> Vec<Value> {
    if steps.len() <= STEPS_MOST {
        return steps;
    }
    let part = |part: &[Value]| json!({ "request_txn": { "success": part } });
    steps.chunks(STEPS_MOST).map(part).collect()
}

/// The answers of all steps in order, out of the transactions within.
fn flatten(answers: Vec<OpAnswer>, into: &mut Vec<OpAnswer>) {
    for mut answer in answers {
        match answer.response_txn.take() {
            Some(inner) => flatten(inner.responses, into),
            None => into.push(answer),
        }
    }
}

fn unavailable(fault: Fault) -> StoreError {
    StoreError::Unavailable(format!("etcd: {fault}").into())
}

/// etcd's default for a level is 128, and what a level uses the ones below it may not.
const STEPS_MOST: usize = 60;
/// How long a write waits to be seen by readers of this process.
const SEEN_MOST: Duration = Duration::from_secs(2);
