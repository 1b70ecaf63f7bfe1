//! The accounts of this process in a bounded map, from which the least recently used idle account is evicted.

use std::{collections::HashMap, time::Instant};

use super::account::Account;
use crate::config::Quota;

/// Number of idle accounts that an eviction compares. A full scan would find an older one, at a higher cost.
const EVICTION_SAMPLE: usize = 16;

/// Prefix of users' accounts.
pub(super) const USER_PREFIX: &str = "user:";

/// Accounts by `key:NAME` and `user:ID`.
#[derive(Debug)]
pub(super) struct Accounts {
    by_name: HashMap<String, Account>,
    capacity: usize,
}

impl Accounts {
    /// Returns an empty map of at most `capacity` accounts, busy ones beyond it aside.
    pub(super) fn new(capacity: usize) -> Self {
        Self { by_name: HashMap::new(), capacity }
    }

    /// Returns the account `name`, if it is in the map.
    pub(super) fn find_mut(&mut self, name: &str) -> Option<&mut Account> {
        self.by_name.get_mut(name)
    }

    /// Returns the account `name`, if it is in the map.
    pub(super) fn find(&self, name: &str) -> Option<&Account> {
        self.by_name.get(name)
    }

    /// Returns the account `name`, inserted when absent.
    pub(super) fn find_or_insert(&mut self, name: &str, quota: &Quota, now: Instant) -> &mut Account {
        if self.by_name.len() >= self.capacity && !self.by_name.contains_key(name) {
            self.evict();
        }
        self.by_name.entry(name.to_owned()).or_insert_with(|| Account::new(quota, now))
    }

    /// Returns the number of accounts.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Removes an idle account, a user's if possible: users are unbounded in number, and evicting an idle key would
    /// reset its rate limit.
    fn evict(&mut self) {
        let victim = self.oldest_idle(|name| name.starts_with(USER_PREFIX)).or_else(|| self.oldest_idle(|_| true));
        victim.map(|name| self.by_name.remove(&name));
    }

    /// Returns the least recently used of a sample of the idle accounts for which `may_evict` holds.
    fn oldest_idle(&self, may_evict: impl Fn(&str) -> bool) -> Option<String> {
        let idle = self.by_name.iter().filter(|(name, account)| account.is_idle() && may_evict(name));
        let oldest = idle.take(EVICTION_SAMPLE).min_by_key(|(_, account)| account.last_used);
        oldest.map(|(name, _)| name.clone())
    }
}
