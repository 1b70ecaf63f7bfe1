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

/// Keeps spending of this process, and what is known of others'.
///
/// All calls return at once, because they are made on the threads of the sockets: an implementation that writes to a
/// disk or to another machine does so on a thread of its own.
pub trait Store: fmt::Debug + Send + Sync {
    /// Returns what is known of `account`.
    fn recall(&self, account: &str) -> Option<Spending>;

    /// Keeps `spending` as the newest of `account`.
    fn keep(&self, account: &str, spending: Spending);

    /// Notes that other processes have spent `usd` of `account` in this period. As it is told anew whenever it is asked
    /// for, it lasts as long as the process and as long as something is kept of the account.
    fn learn(&self, account: &str, period: u64, usd: f64);

    /// Returns the USD that others are known to have spent of `account` in this period.
    fn others(&self, account: &str, period: u64) -> f64;

    /// Returns the accounts whose newest spending is of one of these periods.
    fn of_periods(&self, periods: &[u64]) -> Vec<String>;

    /// Returns the name under which this process writes to a shared store: it lasts as long as what is kept.
    fn writer(&self) -> &str;

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
#[derive(Debug)]
pub struct Memory {
    accounts: Mutex<HashMap<String, Kept>>,
    writer: String,
}

/// What is known of an account.
#[derive(Debug, Clone, Copy)]
struct Kept {
    own: Spending,
    others: Spending,
}

impl Default for Memory {
    fn default() -> Self {
        Self::written_by(random_writer())
    }
}

impl Memory {
    /// Returns an empty memory of the process `writer`.
    pub(super) fn written_by(writer: String) -> Self {
        Self { accounts: Mutex::default(), writer }
    }

    /// Returns the accounts for which `holds`.
    pub(super) fn matching(&self, holds: &dyn Fn(Spending) -> bool) -> Vec<String> {
        let accounts = lock(&self.accounts);
        accounts.iter().filter(|(_, kept)| holds(kept.own)).map(|(account, _)| account.clone()).collect()
    }
}

/// Returns a name that no other process has.
pub(super) fn random_writer() -> String {
    format!("{:032x}", rand::random::<u128>())
}

impl Store for Memory {
    fn recall(&self, account: &str) -> Option<Spending> {
        lock(&self.accounts).get(account).map(|kept| kept.own)
    }

    fn keep(&self, account: &str, spending: Spending) {
        let mut accounts = lock(&self.accounts);
        match accounts.get_mut(account) {
            Some(kept) => kept.own = spending,
            None => {
                let others = Spending { period: spending.period, usd: 0.0 };
                accounts.insert(account.to_owned(), Kept { own: spending, others });
            }
        }
    }

    fn learn(&self, account: &str, period: u64, usd: f64) {
        let mut accounts = lock(&self.accounts);
        let others = Spending { period, usd };
        match accounts.get_mut(account) {
            // What is over is told late.
            Some(kept) if kept.others.period > period => {}
            Some(kept) => kept.others = others,
            None => {
                accounts.insert(account.to_owned(), Kept { own: Spending { period, usd: 0.0 }, others });
            }
        }
    }

    fn others(&self, account: &str, period: u64) -> f64 {
        let kept = lock(&self.accounts).get(account).map(|kept| kept.others);
        kept.filter(|others| others.period == period).map_or(0.0, |others| others.usd)
    }

    fn of_periods(&self, periods: &[u64]) -> Vec<String> {
        self.matching(&|own| periods.contains(&own.period))
    }

    fn writer(&self) -> &str {
        &self.writer
    }

    fn forget(&self, is_over: &dyn Fn(Spending) -> bool) {
        lock(&self.accounts).retain(|_, kept| !is_over(kept.own));
    }

    fn len(&self) -> usize {
        lock(&self.accounts).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_spent_counts_for_their_period_alone() {
        let memory = Memory::default();
        memory.keep("day/key:k", Spending { period: 3, usd: 1.0 });
        memory.learn("day/key:k", 3, 2.0);
        memory.keep("day/key:k", Spending { period: 3, usd: 1.5 });
        assert_eq!((memory.others("day/key:k", 3), memory.others("day/key:k", 4)), (2.0, 0.0));
        memory.learn("day/key:k", 2, 9.0);
        assert_eq!(memory.others("day/key:k", 3), 2.0, "yesterday's is of no use any more");
        assert_eq!(memory.recall("day/key:k"), Some(Spending { period: 3, usd: 1.5 }));
        assert_eq!(memory.of_periods(&[3, 9]), ["day/key:k"]);
        assert!(memory.of_periods(&[4]).is_empty());
    }

    #[test]
    fn two_processes_have_two_names() {
        assert_ne!(Memory::default().writer(), Memory::default().writer());
    }
}
