//! The trait of the store that remembers spending across requests, and its in-memory implementation.

use std::{collections::HashMap, fmt, sync::Mutex};

use super::lock::lock;

/// What one account has spent in one period, reservations of running requests included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spending {
    /// The period's number, as [`super::calendar::period`] counts.
    pub period: u64,
    /// USD.
    pub usd: f64,
}

/// Remembers, by budget key such as `day/key:team`, what this process has spent and what other processes have reported.
///
/// Calls come from threads that serve sockets, so no call may block: an implementation that writes to a disk does so on
/// its own thread.
pub trait SpendingStore: fmt::Debug + Send + Sync {
    /// Returns what this process has spent, in the newest period it knows of.
    fn own(&self, key: &str) -> Option<Spending>;

    /// Replaces what this process has spent.
    fn set_own(&self, key: &str, spending: Spending);

    /// Replaces what other processes have spent in `period`. It is not persisted: the shared store reports it again.
    fn set_others(&self, key: &str, period: u64, usd: f64);

    /// Returns the USD that other processes are known to have spent in `period`.
    fn others(&self, key: &str, period: u64) -> f64;

    /// Returns the keys whose newest period is one of `periods`.
    fn keys_in(&self, periods: &[u64]) -> Vec<String>;

    /// Returns the id under which this process writes to a shared store. It is persisted with the spending.
    fn instance_id(&self) -> &str;

    /// Removes every key whose own spending matches `is_expired`.
    fn remove_expired(&self, is_expired: &dyn Fn(Spending) -> bool);

    /// Returns the number of keys.
    fn len(&self) -> usize;

    /// Returns whether there is no key.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the last write reached persistent storage, where there is one.
    fn is_persisted(&self) -> bool {
        true
    }
}

/// Keeps spending in memory, for as long as the process runs.
#[derive(Debug)]
pub struct MemoryStore {
    entries: Mutex<HashMap<String, Entry>>,
    instance_id: String,
}

/// The spending under one key.
#[derive(Debug, Clone, Copy)]
struct Entry {
    own: Spending,
    others: Spending,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_instance_id(random_instance_id())
    }
}

impl MemoryStore {
    /// Returns an empty store of the process `instance_id`.
    pub(super) fn with_instance_id(instance_id: String) -> Self {
        Self { entries: Mutex::default(), instance_id }
    }

    /// Returns the keys whose own spending matches `predicate`.
    pub(super) fn keys_where(&self, predicate: &dyn Fn(Spending) -> bool) -> Vec<String> {
        let entries = lock(&self.entries);
        entries.iter().filter(|(_, entry)| predicate(entry.own)).map(|(key, _)| key.clone()).collect()
    }
}

/// Returns an id that no other process has.
pub(super) fn random_instance_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

impl SpendingStore for MemoryStore {
    fn own(&self, key: &str) -> Option<Spending> {
        lock(&self.entries).get(key).map(|entry| entry.own)
    }

    fn set_own(&self, key: &str, spending: Spending) {
        let mut entries = lock(&self.entries);
        match entries.get_mut(key) {
            Some(entry) => entry.own = spending,
            None => {
                let others = Spending { period: spending.period, usd: 0.0 };
                entries.insert(key.to_owned(), Entry { own: spending, others });
            }
        }
    }

    fn set_others(&self, key: &str, period: u64, usd: f64) {
        let mut entries = lock(&self.entries);
        let others = Spending { period, usd };
        match entries.get_mut(key) {
            // A late report of an earlier period.
            Some(entry) if entry.others.period > period => {}
            Some(entry) => entry.others = others,
            None => {
                entries.insert(key.to_owned(), Entry { own: Spending { period, usd: 0.0 }, others });
            }
        }
    }

    fn others(&self, key: &str, period: u64) -> f64 {
        let others = lock(&self.entries).get(key).map(|entry| entry.others);
        others.filter(|others| others.period == period).map_or(0.0, |others| others.usd)
    }

    fn keys_in(&self, periods: &[u64]) -> Vec<String> {
        self.keys_where(&|own| periods.contains(&own.period))
    }

    fn instance_id(&self) -> &str {
        &self.instance_id
    }

    fn remove_expired(&self, is_expired: &dyn Fn(Spending) -> bool) {
        lock(&self.entries).retain(|_, entry| !is_expired(entry.own));
    }

    fn len(&self) -> usize {
        lock(&self.entries).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spending_of_other_processes_counts_in_its_period_only() {
        let store = MemoryStore::default();
        store.set_own("day/key:k", Spending { period: 3, usd: 1.0 });
        store.set_others("day/key:k", 3, 2.0);
        store.set_own("day/key:k", Spending { period: 3, usd: 1.5 });
        assert_eq!((store.others("day/key:k", 3), store.others("day/key:k", 4)), (2.0, 0.0));
        store.set_others("day/key:k", 2, 9.0);
        assert_eq!(store.others("day/key:k", 3), 2.0, "a report of an earlier period is ignored");
        assert_eq!(store.own("day/key:k"), Some(Spending { period: 3, usd: 1.5 }));
        assert_eq!(store.keys_in(&[3, 9]), ["day/key:k"]);
        assert!(store.keys_in(&[4]).is_empty());
    }

    #[test]
    fn two_processes_have_different_ids() {
        assert_ne!(MemoryStore::default().instance_id(), MemoryStore::default().instance_id());
    }
}
