//! Keeps the states of all checks where the next worker process finds them.
//!
//! ```text
//!   verdict ──▶ dirty ── at most once a second ──▶ one of two slots of a file ──▶ worker dies
//!   next worker process: the newer whole slot ──▶ Kept, by check and peer ──▶ machines go on
//! ```
//!
//! The file is whatever the process is given: memory the master holds, or a file on disk. The slots
//! are written in turn, each with its number and checksum, so that a write cut short by the death
//! it is there for leaves the other one whole.

mod disk;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::board::Board;
use super::dialect::Dialect;
use super::machine::{Limits, Machine, RiseFall, State};
use super::rounds::Core;
use super::spec::CheckSpec;
use super::target::Target;
use super::watch::Watch;

pub(super) use self::disk::Disk;

/// Where states are kept, and what was found there.
#[derive(Default)]
pub(super) struct Keepers {
    pub(super) memory: Option<Keeper>,
    pub(super) disk: Option<Disk>,
}

impl Keepers {
    /// The machines an earlier process had for this check; the younger memory is asked first.
    pub(super) fn take(&mut self, spec: &CheckSpec) -> Vec<KeptPeer> {
        let identity = identity(spec);
        let memory = self.memory.as_mut().map(|m| take(&mut m.found, &identity));
        let disk = self.disk.as_mut().map(|d| take(d.found(), &identity));
        memory.filter(|peers| !peers.is_empty()).or(disk).unwrap_or_default()
    }

    /// Writes the states of all checks; tells what did not work.
    pub(super) fn save(
        &mut self,
        checks: impl Iterator<Item = (Arc<CheckSpec>, Vec<KeptPeer>)>,
        now_ms: u64,
    ) -> Vec<(String, io::Error)> {
        if self.memory.is_none() && self.disk.is_none() {
            return Vec::new();
        }
        let mut failed = Vec::new();
        let checks: Vec<KeptCheck> =
            checks.map(|(spec, peers)| KeptCheck { identity: identity(&spec), peers }).collect();
        // Plain data: nothing in it can fail to be written.
        let body = serde_json::to_vec(&checks).unwrap_or_default();
        if let Some(Err(e)) = self.memory.as_mut().map(|memory| memory.save(&body)) {
            failed.push(("health states could not be kept".to_string(), e));
        }
        if let Some(disk) = &mut self.disk {
            let saved = disk.save(&body, now_ms);
            let told = std::mem::replace(&mut disk.complained, saved.is_err());
            if let (Err(e), false) = (saved, told) {
                let path = disk.path().display();
                failed.push((format!("health states could not be written to \"{path}\""), e));
            }
        }
        failed
    }
}

/// The file handed to the next process, and what was found in it.
pub(super) struct Keeper {
    file: File,
    turn: u64,
    found: Vec<KeptCheck>,
}

impl Keeper {
    /// Reads what an earlier process left; an empty or broken file holds nothing.
    pub(super) fn open(file: File) -> Self {
        let slots = [read_slot(&file, 0), read_slot(&file, 1)];
        let newest = slots.into_iter().flatten().max_by_key(|(turn, _)| *turn);
        let (turn, found) = newest.unwrap_or_default();
        Self { file, turn, found }
    }

    /// Writes the states of all checks into the older slot.
    fn save(&mut self, body: &[u8]) -> io::Result<()> {
        self.turn += 1;
        let mut head = self.turn.to_le_bytes().to_vec();
        head.extend((body.len() as u64).to_le_bytes());
        head.extend(u64::from(crc32fast::hash(body)).to_le_bytes());
        let at = SLOT_BYTES * (self.turn % 2);
        self.file.write_all_at(body, at + HEAD_BYTES)?;
        self.file.write_all_at(&head, at)
    }
}

/// One peer's machine, as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptPeer {
    name: String,
    server: String,
    down: bool,
    ok: u64,
    nok: u64,
    /// The four lanes in one number.
    #[serde(default)]
    lanes: u32,
    /// Some results speak against the state.
    #[serde(default)]
    wavering: bool,
}

impl KeptPeer {
    /// All peers of a check at their own pace; those that showed nothing yet are not worth it.
    pub(super) fn of_board(board: &Board) -> Vec<Self> {
        board.seats().filter(|s| s.is_proven()).map(|s| Self::of(&s.watch)).collect()
    }

    /// All peers of a check.
    pub(super) fn all(core: &Core) -> Vec<Self> {
        core.watches().iter().map(Self::of).collect()
    }

    /// True when this was kept of that peer.
    pub(super) fn is_of(&self, target: &Target) -> bool {
        self.name == target.name && self.server == target.server
    }

    /// Lets a fresh machine go on where the kept one stood.
    pub(super) fn restore(&self, machine: &mut Machine) {
        match machine {
            Machine::RiseFall(m) => *m = RiseFall::restored(m, self.ok, self.nok, self.down),
            Machine::Counters(m) => {
                let state = match (self.down, self.wavering) {
                    (false, false) => State::Healthy,
                    (false, true) => State::MostlyHealthy,
                    (true, true) => State::MostlyUnhealthy,
                    (true, false) => State::Unhealthy,
                };
                *m = m.restored(Limits::unpack(self.lanes), state);
            }
            Machine::Lease(m) => m.set_up(!self.down),
        }
    }

    fn of(watch: &Watch) -> Self {
        let (ok, nok) = watch.machine.counts();
        Self {
            name: watch.target.name.clone(),
            server: watch.target.server.to_string(),
            down: watch.is_down(),
            ok,
            nok,
            lanes: watch.machine.lanes().packed(),
            wavering: watch.machine.is_wavering(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptCheck {
    identity: String,
    peers: Vec<KeptPeer>,
}

fn take(found: &mut Vec<KeptCheck>, identity: &str) -> Vec<KeptPeer> {
    match found.iter().position(|c| c.identity == identity) {
        Some(at) => found.swap_remove(at).peers,
        None => Vec::new(),
    }
}

/// The text two equal checks have in common.
fn identity(spec: &CheckSpec) -> String {
    match spec.dialect {
        Dialect::OpenResty => format!("{spec:?}"),
        dialect => format!("{} {:?} {:?}", dialect.name(), spec.upstream, spec.name),
    }
}

fn read_slot(file: &File, slot: u64) -> Option<(u64, Vec<KeptCheck>)> {
    let at = SLOT_BYTES * slot;
    let mut head = [0; HEAD_BYTES as usize];
    file.read_exact_at(&mut head, at).ok()?;
    let number = |i: usize| u64::from_le_bytes(head[i * 8..i * 8 + 8].try_into().expect("8 bytes"));
    let (turn, len, sum) = (number(0), number(1), number(2));
    if len > SLOT_BYTES - HEAD_BYTES {
        return None;
    }
    let mut body = vec![0; len as usize];
    file.read_exact_at(&mut body, at + HEAD_BYTES).ok()?;
    if u64::from(crc32fast::hash(&body)) != sum {
        return None;
    }
    Some((turn, serde_json::from_slice(&body).ok()?))
}

const HEAD_BYTES: u64 = 24;
/// Far apart: the file is sparse, only what is written takes room.
const SLOT_BYTES: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::spec::MachineSpec;

    fn spec(upstream: &str) -> CheckSpec {
        CheckSpec::new(Dialect::OpenResty, upstream)
    }

    fn kept(name: &str, nok: u64) -> KeptPeer {
        let (name, server) = (name.into(), "s".into());
        KeptPeer { name, server, down: nok > 1, ok: 0, nok, lanes: 0, wavering: false }
    }

    fn file() -> File {
        let name =
            format!("moonbeat-keep-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        let open = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let _ = std::fs::remove_file(&path);
        open.expect("a temporary file")
    }

    fn keepers(file: &File) -> Keepers {
        let file = file.try_clone().expect("a descriptor");
        Keepers { memory: Some(Keeper::open(file)), disk: None }
    }

    fn save(keepers: &mut Keepers, nok: u64) {
        let checks = [(Arc::new(spec("a")), vec![kept("p0", nok)])];
        assert!(keepers.save(checks.into_iter(), 0).is_empty());
    }

    #[test]
    fn what_was_saved_last_is_found() {
        let file = file();
        let mut first = keepers(&file);
        assert_eq!(first.take(&spec("a")), []);
        (1..=3).for_each(|n| save(&mut first, n));
        let mut next = keepers(&file);
        assert_eq!(next.take(&spec("b")), []);
        assert_eq!(next.take(&spec("a")), [kept("p0", 3)]);
        assert_eq!(next.take(&spec("a")), [], "once");
    }

    #[test]
    fn a_write_cut_short_leaves_the_other_slot() {
        let file = file();
        let mut first = keepers(&file);
        (1..=2).for_each(|n| save(&mut first, n));
        // The second save went into slot 0; its body is torn.
        file.write_all_at(b"torn", HEAD_BYTES + 5).expect("written");
        assert_eq!(keepers(&file).take(&spec("a")), [kept("p0", 1)]);
    }

    #[test]
    fn a_machine_goes_on() {
        let mut machine = MachineSpec::RiseFall { rise: 2, fall: 3 }.build(true, 0);
        kept("p0", 7).restore(&mut machine);
        assert_eq!((machine.counts(), machine.state().is_up()), ((0, 7), false));
    }
}
