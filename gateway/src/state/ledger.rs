//! All accounts of this process. Replicas do not share them: each holds its clients to the limits by itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use super::{
    account::{Account, Need, Refusal},
    calendar, lock,
    store::{Memory, Spending, Store},
};
use crate::config::{Period, Quota};

/// Idle accounts of which the one unused for longest makes room: a sample finds one that is old enough.
const SAMPLE: usize = 16;

/// Pause between two searches of the store for periods that are over.
const SWEEP: Duration = Duration::from_secs(10);

/// The accounts, by `key:NAME` and `user:ID`.
#[derive(Debug)]
pub struct Ledger {
    books: Mutex<Books>,
    store: Arc<dyn Store>,
    most: usize,
}

#[derive(Debug, Default)]
struct Books {
    accounts: HashMap<String, Account>,
    swept: Option<Instant>,
}

/// A request that was admitted; settled when dropped.
#[derive(Debug)]
pub struct Ticket {
    ledger: Arc<Ledger>,
    holders: Vec<(String, Quota)>,
    reserved: Need,
    used: Need,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new(100_000, Arc::new(Memory::default()))
    }
}

impl Ledger {
    /// Returns a ledger of at most `most` accounts whose money `store` remembers.
    pub fn new(most: usize, store: Arc<dyn Store>) -> Self {
        Self { books: Mutex::default(), store, most }
    }

    /// Admits a request on every account of `holders`, or on none.
    ///
    /// # Errors
    ///
    /// Fails with the first limit that is reached.
    pub fn enter(self: &Arc<Self>, mut holders: Vec<(String, Quota)>, now: Instant) -> Result<Ticket, Refusal> {
        holders.retain(|(_, quota)| *quota != Quota::UNLIMITED);
        let mut books = lock(&self.books);
        for (name, quota) in &holders {
            books.account(name, quota, self.most, now).may_enter(quota, now)?;
        }
        for (name, quota) in &holders {
            books.account(name, quota, self.most, now).enter();
        }
        drop(books);
        Ok(Ticket { ledger: Arc::clone(self), holders, reserved: Need::default(), used: Need::default() })
    }

    /// Returns how many accounts there are.
    pub fn len(&self) -> usize {
        lock(&self.books).accounts.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts the account `name` into the day or month that holds `date`; returns how long that lasts.
    fn turn(&self, books: &mut Books, name: &str, per: Period, times: Times) -> Result<Duration, Refusal> {
        let (period, rest) = calendar::period(per, times.date);
        let Some(account) = books.accounts.get_mut(name).filter(|account| account.spending(per).period != period)
        else {
            return Ok(rest);
        };
        let known = self.store.recall(&shelf(per, name));
        account.begin(per, period, known.filter(|known| known.period == period).map_or(0.0, |known| known.usd));
        if known.is_none() && self.store.len() >= self.most_kept() {
            let is_due = books.swept.is_none_or(|swept| times.now.saturating_duration_since(swept) > SWEEP);
            if is_due {
                books.swept = Some(times.now);
                let running = Period::ALL.map(|per| calendar::period(per, times.date).0);
                self.store.forget(&|spending: Spending| !running.contains(&spending.period));
            }
            if self.store.len() >= self.most_kept() {
                account.begin(per, 0, 0.0);
                return Err(Refusal { limit: "accounts", wait: SWEEP });
            }
        }
        Ok(rest)
    }

    /// Each account may have a day and a month.
    fn most_kept(&self) -> usize {
        self.most.saturating_mul(Period::ALL.len())
    }
}

/// Where the store keeps the day's or month's money of an account.
fn shelf(per: Period, name: &str) -> String {
    format!("{}/{name}", per.as_str())
}

/// The two clocks.
#[derive(Debug, Clone, Copy)]
struct Times {
    now: Instant,
    date: SystemTime,
}

impl Books {
    fn account(&mut self, name: &str, quota: &Quota, most: usize, now: Instant) -> &mut Account {
        if self.accounts.len() >= most && !self.accounts.contains_key(name) {
            let idle = self.accounts.iter().filter(|(_, account)| account.is_idle()).take(SAMPLE);
            let oldest = idle.min_by_key(|(_, account)| account.touched).map(|(name, _)| name.clone());
            oldest.map(|name| self.accounts.remove(&name));
        }
        self.accounts.entry(name.to_owned()).or_insert_with(|| Account::new(quota, now))
    }
}

impl Ticket {
    /// Sets `need` aside on every account, or on none.
    ///
    /// # Errors
    ///
    /// Fails with the first limit that is reached.
    pub fn reserve(&mut self, need: Need, now: Instant, date: SystemTime) -> Result<(), Refusal> {
        let mut books = lock(&self.ledger.books);
        for (name, quota) in &self.holders {
            let mut rests = [Duration::ZERO; 2];
            for (per, rest) in Period::ALL.into_iter().zip(&mut rests) {
                if quota.budget.is_some_and(|budget| budget.most(per).is_some()) {
                    *rest = self.ledger.turn(&mut books, name, per, Times { now, date })?;
                }
            }
            let [day, month] = rests;
            if let Some(account) = books.accounts.get_mut(name) {
                let rest = |per| if per == Period::Day { day } else { month };
                account.may_reserve(quota, need, now, rest)?;
            }
        }
        self.each(&mut books, |account| account.reserve(need));
        drop(books);
        self.reserved = need;
        Ok(())
    }

    /// Returns whether what the request spends is written down; without a budget there is nothing to write.
    pub fn is_written(&self) -> bool {
        self.holders.iter().all(|(_, quota)| quota.budget.is_none()) || self.ledger.store.is_written()
    }

    /// Notes what the request used.
    pub fn used(&mut self, used: Need) {
        self.used = used;
    }

    /// Changes every account and tells the store.
    fn each(&self, books: &mut Books, change: impl Fn(&mut Account)) {
        for (name, quota) in &self.holders {
            let Some(account) = books.accounts.get_mut(name) else {
                continue;
            };
            change(account);
            for per in Period::ALL {
                let is_kept = quota.budget.is_some_and(|budget| budget.most(per).is_some());
                let spending = account.spending(per);
                // Before its first reservation an account is in no period.
                if is_kept && spending.period > 0 {
                    self.ledger.store.keep(&shelf(per, name), spending);
                }
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut books = lock(&self.ledger.books);
        self.each(&mut books, |account| account.settle(self.reserved, self.used));
    }
}

#[cfg(test)]
mod tests;
