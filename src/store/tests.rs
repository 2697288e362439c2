//! What a store promises: revisions, guards, watches, and that nothing acknowledged is lost.

use std::fs;
use std::time::Duration;

use super::log::Log;
use super::*;

/// A folder of its own that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("moonbeat-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        Self(dir)
    }

    fn log(&self) -> PathBuf {
        self.0.join("store.log")
    }

    /// A store as another process would find it: not the shared one of this process.
    fn store(&self) -> Store {
        let mut state = State::default();
        let log = self.open(&mut state).unwrap();
        Store::start(state, Some(log)).unwrap()
    }

    fn open(&self, state: &mut State) -> Result<Log, StoreError> {
        loop {
            match Log::open(&self.0, state) {
                // The writer of a store that was dropped just now holds the lock for a moment.
                Err(StoreError::InUse(_)) => std::thread::sleep(Duration::from_millis(5)),
                log => return log,
            }
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn values(store: &Store, prefix: &str) -> Vec<(String, String)> {
    let entries = store.range(prefix).entries;
    let text = |e: &Arc<Entry>| (e.key.to_string(), String::from_utf8_lossy(&e.value).into_owned());
    entries.iter().map(text).collect()
}

#[test]
fn revisions_count_transactions() {
    let store = Store::memory().unwrap();
    let made = store.commit_blocking(Txn::new().put("/a/1", "x").put("/a/2", "y")).unwrap();
    assert_eq!((made.revision, made.changes.len()), (1, 2));
    let set = store.commit_blocking(Txn::new().put("/a/1", "z")).unwrap();
    let entry = set.changes[0].after.clone().unwrap();
    assert_eq!((entry.created, entry.modified, entry.version), (1, 2, 2));
    let none = store.commit_blocking(Txn::new().delete("/nope")).unwrap();
    assert_eq!((none.revision, none.changes.len()), (2, 0));
    store.commit_blocking(Txn::new().delete("/a/1")).unwrap();
    store.commit_blocking(Txn::new().put("/a/1", "again")).unwrap();
    let entry = store.get("/a/1").unwrap();
    assert_eq!((entry.created, entry.version), (4, 1));
    assert_eq!(store.range("/a/").entries.len(), 2);
    assert!(store.range("/b").entries.is_empty());
}

#[test]
fn a_guard_that_fails_changes_nothing() {
    let store = Store::memory().unwrap();
    store.commit_blocking(Txn::new().if_absent("/k").put("/k", "1")).unwrap();
    let refused = [
        Txn::new().put("/other", "2").if_absent("/k"),
        Txn::new().put("/other", "2").if_modified("/k", 9),
        Txn::new().put("/other", "2").if_present("/nope"),
    ];
    for txn in refused {
        assert!(matches!(store.commit_blocking(txn), Err(StoreError::Conflict(_))));
    }
    assert_eq!(store.revision(), 1);
    store.commit_blocking(Txn::new().if_modified("/k", 1).put("/k", "2")).unwrap();
    assert_eq!(values(&store, "/"), [("/k".into(), "2".into())]);
}

#[test]
fn a_watch_misses_nothing() {
    let store = Store::memory().unwrap();
    store.commit_blocking(Txn::new().put("/a/1", "x")).unwrap();
    let (range, mut watch) = store.watch("/a/");
    assert_eq!((range.revision, range.entries.len()), (1, 1));
    store.commit_blocking(Txn::new().put("/b/1", "x")).unwrap();
    store.commit_blocking(Txn::new().delete("/a/1").put("/b/2", "x")).unwrap();
    let event = watch.next_blocking().unwrap();
    assert_eq!((event.revision, event.changes.len()), (3, 1));
    assert!(event.changes[0].after.is_none());
    assert_eq!(event.changes[0].key(), "/a/1");
}

#[test]
fn what_was_acknowledged_is_there_again() {
    let dir = Dir::new("again");
    let store = dir.store();
    store.commit_blocking(Txn::new().put("/a", "1").put("/b", "2")).unwrap();
    store.commit_blocking(Txn::new().delete("/a").put("/c", vec![0u8, 255])).unwrap();
    let before = store.range("/").entries;
    drop(store);
    let store = dir.store();
    assert_eq!(store.range("/").entries, before);
    assert_eq!(store.revision(), 2);
}

#[test]
fn a_torn_tail_is_cut_wherever_it_was_torn() {
    let dir = Dir::new("torn");
    let store = dir.store();
    store.commit_blocking(Txn::new().put("/a", "1")).unwrap();
    drop(store);
    drop(dir.store());
    let whole = fs::read(dir.log()).unwrap();
    let store = dir.store();
    store.commit_blocking(Txn::new().put("/b", "two")).unwrap();
    drop(store);
    drop(dir.store());
    let longer = fs::read(dir.log()).unwrap();
    for cut in whole.len()..longer.len() {
        fs::write(dir.log(), &longer[..cut]).unwrap();
        let store = dir.store();
        assert_eq!(values(&store, "/"), [("/a".into(), "1".into())], "{cut}");
        store.commit_blocking(Txn::new().put("/c", "3")).unwrap();
        drop(store);
        assert_eq!(values(&dir.store(), "/").len(), 2);
    }
    for cut in 0..17 {
        fs::write(dir.log(), &longer[..cut]).unwrap();
        assert_eq!(dir.store().revision(), 0);
    }
    fs::write(dir.log(), "something else").unwrap();
    let mut state = State::default();
    assert!(matches!(dir.open(&mut state), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_log_damaged_in_its_middle_is_set_aside_before_it_is_cut() {
    let dir = Dir::new("damaged");
    let store = dir.store();
    for key in ["/a", "/b", "/c"] {
        store.commit_blocking(Txn::new().put(key, "value")).unwrap();
    }
    drop(store);
    drop(dir.store());
    let mut bytes = fs::read(dir.log()).unwrap();
    let at = bytes.windows(2).position(|pair| pair == b"/b").unwrap();
    bytes[at] ^= 1;
    fs::write(dir.log(), &bytes).unwrap();
    assert_eq!(values(&dir.store(), "/"), [("/a".into(), "value".into())]);
    assert_eq!(fs::read(dir.0.join("store.damaged")).unwrap(), bytes);
}

#[test]
fn garbage_behind_the_last_record_is_cut() {
    let dir = Dir::new("garbage");
    let store = dir.store();
    store.commit_blocking(Txn::new().put("/a", "1")).unwrap();
    drop(store);
    drop(dir.store());
    let whole = fs::read(dir.log()).unwrap();
    for garbage in [vec![0; 4096], vec![0xff; 100], b"GET / HTTP/1.1\r\n".repeat(9)] {
        fs::write(dir.log(), [whole.clone(), garbage].concat()).unwrap();
        assert_eq!(values(&dir.store(), "/"), [("/a".into(), "1".into())]);
        assert_eq!(fs::read(dir.log()).unwrap(), whole);
        assert!(!dir.0.join("store.damaged").exists());
    }
}

#[test]
fn history_is_forgotten_and_the_present_kept() {
    let dir = Dir::new("compact");
    let store = dir.store();
    let long = "x".repeat(40_000);
    for i in 0..60 {
        let txn = Txn::new().put("/same", long.clone()).put(&format!("/k{i:02}"), "v");
        store.commit_blocking(txn).unwrap();
    }
    store.commit_blocking(Txn::new().delete("/k00")).unwrap();
    let before = store.range("/").entries;
    drop(store);
    let store = dir.store();
    assert_eq!((store.range("/").entries, store.revision()), (before, 61));
    assert!(fs::metadata(dir.log()).unwrap().len() < 2_000_000);
}

#[test]
fn history_is_forgotten_however_often_it_is_opened() {
    let dir = Dir::new("reopen");
    for _ in 0..15 {
        let store = dir.store();
        for _ in 0..5 {
            store.commit_blocking(Txn::new().put("/same", "x".repeat(60_000))).unwrap();
        }
        drop(store);
    }
    drop(dir.store());
    assert!(fs::metadata(dir.log()).unwrap().len() < 1_200_000);
}

#[test]
fn a_second_process_is_kept_out() {
    let dir = Dir::new("lock");
    let _store = dir.store();
    let mut state = State::default();
    assert!(matches!(Log::open(&dir.0, &mut state), Err(StoreError::InUse(_))));
}

#[test]
fn values_with_a_time_go_by_themselves() {
    let store = Store::memory().unwrap();
    let (_, mut watch) = store.watch("/");
    store.commit_blocking(Txn::new().put_for("/k", "v", Duration::from_millis(50))).unwrap();
    assert!(watch.next_blocking().unwrap().changes[0].after.is_some());
    assert!(watch.next_blocking().unwrap().changes[0].after.is_none());
    assert!(store.get("/k").is_none());
}

#[test]
fn many_threads_share_the_disk() {
    let dir = Dir::new("threads");
    let store = dir.store();
    std::thread::scope(|scope| {
        for t in 0..8 {
            let store = store.clone();
            scope.spawn(move || {
                for i in 0..50 {
                    let txn = Txn::new().put(&format!("/{t}/{i}"), "v");
                    store.commit_blocking(txn).unwrap();
                }
            });
        }
    });
    assert_eq!((store.revision(), store.range("/").entries.len()), (400, 400));
    drop(store);
    assert_eq!(dir.store().range("/").entries.len(), 400);
}
