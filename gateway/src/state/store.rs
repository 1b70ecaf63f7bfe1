//! Where spending outlives the process.

use std::{collections::HashMap, fmt, sync::Mutex};

use super::lock;

/// What an account has spent in one period, money set aside for running requests included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spending {
    /// The period's number, as [`super::calendar::period`] counts.
    pub period: u64,
    /// USD.
    pub usd: f64,
}

/// Keeps spending.
///
/// Both calls return at once, because they are made on the threads of the sockets: an implementation that writes to a
/// disk or to another machine does so on a thread of its own.
pub trait Store: fmt::Debug + Send + Sync {
    /// Returns what is known of `account`.
    fn recall(&self, account: &str) -> Option<Spending>;

    /// Keeps `spending` as the newest of `account`.
    fn keep(&self, account: &str, spending: Spending);

    /// Forgets every account for which `is_over` holds.
    fn forget(&self, is_over: &dyn Fn(Spending) -> bool);

    /// Returns how many accounts are known.
    fn len(&self) -> usize;

    /// Returns whether what is kept would outlive the process as it should.
    fn is_written(&self) -> bool {
        true
    }

    /// Returns whether none is.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Keeps spending as long as the process lives.
#[derive(Debug, Default)]
pub struct Memory {
    accounts: Mutex<HashMap<String, Spending>>,
}

impl Memory {
    /// Returns the accounts for which `holds`.
    pub(super) fn matching(&self, holds: &dyn Fn(Spending) -> bool) -> Vec<String> {
        let accounts = lock(&self.accounts);
        accounts.iter().filter(|(_, spending)| holds(**spending)).map(|(account, _)| account.clone()).collect()
    }
}

impl Store for Memory {
    fn recall(&self, account: &str) -> Option<Spending> {
        lock(&self.accounts).get(account).copied()
    }

    fn keep(&self, account: &str, spending: Spending) {
        let mut accounts = lock(&self.accounts);
        match accounts.get_mut(account) {
            Some(known) => *known = spending,
            None => {
                accounts.insert(account.to_owned(), spending);
            }
        }
    }

    fn forget(&self, is_over: &dyn Fn(Spending) -> bool) {
        lock(&self.accounts).retain(|_, spending| !is_over(*spending));
    }

    fn len(&self) -> usize {
        lock(&self.accounts).len()
    }
}
