//! Tests of the store in a file: what is kept, replaced, bounded, expired and erased.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use super::*;
use crate::{
    api::feedback::Said,
    learning::record::{Candidate, Origin},
};

const BOUNDS: Bounds = Bounds {
    window: Duration::from_secs(3_600),
    retention: Duration::from_secs(24 * 3_600),
    max_decisions: 4,
    max_user_decisions: 2,
    max_user_signals: 3,
};

fn decision(id: &str, user: &str, age: u64) -> Decision {
    Decision {
        id: id.to_owned(),
        user: user.to_owned(),
        time: clock::now() - age,
        origin: Origin { llm: "a".to_owned(), ..Origin::default() },
        candidates: vec![Candidate { llm: "a".to_owned(), scores: None }],
    }
}

fn signal(decision: &str, rating: f32, age: u64) -> Signal {
    let at = clock::now() - age;
    let said = Said::Rating { llm: Some("a".to_owned()), rating };
    Signal { decision: decision.to_owned(), said, at, received: at, origin: Origin::default() }
}

/// Runs `operations` in one durable batch.
fn batch<T>(store: &mut EmbeddedStore, operations: impl FnOnce(&mut EmbeddedStore) -> Result<T, StoreError>) -> T {
    store.begin().unwrap();
    let result = operations(store).unwrap();
    store.commit(Durability::Durable).unwrap();
    result
}

fn file() -> (tempfile::TempDir, PathBuf, EmbeddedStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.learning");
    let store = EmbeddedStore::open(&path, BOUNDS).unwrap();
    (folder, path, store)
}

#[test]
fn a_later_signal_of_a_kind_replaces_the_earlier_one_and_the_same_is_a_duplicate() {
    let (_folder, path, mut store) = file();
    let put = |store: &mut EmbeddedStore, signal: Signal, key: Option<&str>| {
        batch(store, |store| store.put_signal("ada", &signal, key))
    };
    assert_eq!(put(&mut store, signal("d1", 0.5, 9), Some("k")), Put { is_duplicate: false, signals: 1 });
    assert_eq!(put(&mut store, signal("d2", 0.5, 8), Some("k")), Put { is_duplicate: true, signals: 1 });
    assert_eq!(put(&mut store, signal("d1", 0.5, 7), None), Put { is_duplicate: true, signals: 1 });
    assert_eq!(put(&mut store, signal("d1", 0.9, 6), None), Put { is_duplicate: false, signals: 1 });
    drop(store);
    let mut store = EmbeddedStore::open(&path, BOUNDS).unwrap();
    let data = batch(&mut store, |store| store.user("ada"));
    assert_eq!(data.signals.len(), 1, "the kept signal survives the restart, once");
    assert_eq!(data.signals[0].said, Said::Rating { llm: Some("a".to_owned()), rating: 0.9 });
    assert_eq!(store.reader().unwrap().signals("ada").unwrap().signals, data.signals);
    assert_eq!(batch(&mut store, |store| store.remove_signals("ada", "d1")).signals, 1);
    assert_eq!(batch(&mut store, |store| store.users(None, 9)).rows, [""; 0]);
}

#[test]
fn decisions_and_signals_are_bounded_per_user_and_overall() {
    let (_folder, _, mut store) = file();
    let known = batch(&mut store, |store| {
        for (id, user, age) in [("a1", "a", 9), ("a2", "a", 8), ("a3", "a", 7), ("b1", "b", 6), ("c1", "c", 5)] {
            store.put_decision(&decision(id, user, age))?;
        }
        store.put_decision(&decision("d1", "d", 4))?;
        let ids = ["a1", "a2", "a3", "b1", "c1", "d1"];
        ids.iter().map(|id| Ok(store.decision(id)?.is_some())).collect::<Result<Vec<bool>, StoreError>>()
    });
    assert_eq!(known, [false, false, true, true, true, true], "at most two of a user, at most four of all");
    let counts = batch(&mut store, |store| {
        (0..5)
            .map(|idx| Ok(store.put_signal("a", &signal(&format!("d{idx}"), 0.1, 50 - idx), None)?.signals))
            .collect::<Result<Vec<_>, StoreError>>()
    });
    assert_eq!(counts, [1, 2, 3, 3, 3]);
    let kept: Vec<String> =
        batch(&mut store, |store| store.user("a")).signals.into_iter().map(|signal| signal.decision).collect();
    assert_eq!(kept, ["d2", "d3", "d4"]);
}

#[test]
fn what_is_too_old_is_not_found_and_removed() {
    let (_folder, _, mut store) = file();
    let hour = 3_600_000;
    batch(&mut store, |store| {
        store.put_decision(&decision("old", "ada", 2 * hour))?;
        store.put_decision(&decision("new", "ada", 0))?;
        store.put_signal("ada", &signal("old", 0.1, 25 * hour), Some("key"))?;
        store.put_signal("ada", &signal("new", 0.2, 0), None)
    });
    assert!(batch(&mut store, |store| store.decision("old")).is_none(), "older than the window");
    let removed = batch(&mut store, |store| store.expire(clock::now()));
    assert_eq!(removed, Removed { signals: 1, decisions: 1 });
    let data = batch(&mut store, |store| store.user("ada"));
    assert_eq!((data.signals.len(), data.decisions.len()), (1, 1));
    let again = batch(&mut store, |store| store.put_signal("ada", &signal("x", 0.1, 0), Some("key")));
    assert!(!again.is_duplicate, "the idempotency key has expired, too");
}

#[test]
fn no_byte_of_an_erased_user_is_left_in_the_file() {
    let (_folder, path, mut store) = file();
    let name = "ada-the-first-programmer";
    batch(&mut store, |store| {
        for idx in 0..200 {
            store.put_decision(&decision(&format!("dec_secret_{idx}"), name, 0))?;
            store.put_signal(
                name,
                &signal(&format!("dec_secret_{idx}"), 0.3, 0),
                Some(&format!("key_secret_{idx}")),
            )?;
            store.put_signal("bob", &signal(&format!("dec_bob_{idx}"), 0.3, 0), None)?;
        }
        store.declare(name, Some(Declared { preference: 0.25, at: 1 }))
    });
    let holds = |what: &str| {
        let bytes = std::fs::read(&path).unwrap();
        bytes.windows(what.len()).any(|window| window == what.as_bytes())
    };
    assert!(holds(name) && holds("dec_secret"));
    let removed = batch(&mut store, |store| store.erase(name));
    assert_eq!(removed, Removed { signals: 3, decisions: 2 });
    assert!(!holds(name) && !holds("dec_secret") && !holds("key_secret"), "an erasure is more than a missing row");
    assert!(holds("bob"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    batch(&mut store, |store| store.put_signal("bob", &signal("dec_late", 0.5, 0), None));
    drop(store);
    let mut store = EmbeddedStore::open(&path, BOUNDS).unwrap();
    assert_eq!(batch(&mut store, |store| store.user(name)), UserData::default());
    assert!(!batch(&mut store, |store| store.user("bob")).signals.is_empty());
}

#[test]
fn an_interrupted_erasure_is_finished_when_the_file_is_opened() {
    let (folder, path, mut store) = file();
    batch(&mut store, |store| store.put_signal("ada-lovelace", &signal("d", 0.3, 0), None));
    // The rows are removed and committed, and the process dies before the file is copied.
    store.begin().unwrap();
    store.erase("ada-lovelace").unwrap();
    store.has_erased = false;
    store.commit(Durability::Durable).unwrap();
    drop(store);
    std::fs::write(folder.path().join("s.learning.new"), "half a copy").unwrap();
    let store = EmbeddedStore::open(&path, BOUNDS).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(12).any(|window| window == b"ada-lovelace"));
    assert!(!folder.path().join("s.learning.new").exists());
    drop(store);
}

#[test]
fn interactions_are_paged_in_the_order_of_their_arrival() {
    let mut store = EmbeddedStore::in_memory(BOUNDS).unwrap();
    batch(&mut store, |store| {
        for (idx, user) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
            store.put_signal(user, &signal("d", 0.5, 100 - idx as u64 * 10), None)?;
        }
        Ok(())
    });
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = batch(&mut store, |store| store.interactions(clock::now() - 95, after.as_deref(), 2));
        seen.extend(page.rows.into_iter().map(|row| row.user));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["b", "c", "d", "e"]);
    let page = batch(&mut store, |store| store.users(Some("b"), 2));
    assert_eq!((page.rows, page.next), (vec!["c".to_owned(), "d".to_owned()], Some("d".to_owned())));
}

#[test]
fn a_file_in_use_is_refused_by_name() {
    let (_folder, path, _store) = file();
    let error = EmbeddedStore::open(&path, BOUNDS).err().unwrap();
    assert!(error.to_string().contains("s.learning"), "{error}");
}
