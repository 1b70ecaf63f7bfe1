//! All accounts of this process. Replicas do not share them: each holds its clients to the limits by itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

use super::account::{Account, Need, Refusal};
use crate::config::Quota;

/// Most accounts before idle ones are forgotten.
const ACCOUNTS: usize = 100_000;

/// The accounts, by `key:NAME` and `user:ID`.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: Mutex<HashMap<String, Account>>,
}

/// A request that was admitted; settled when dropped.
#[derive(Debug)]
pub struct Ticket {
    ledger: Arc<Ledger>,
    holders: Vec<(String, Quota)>,
    reserved: Need,
    used: Need,
}

impl Ledger {
    /// Admits a request on every account of `holders`, or on none.
    ///
    /// # Errors
    ///
    /// Fails with the first limit that is reached.
    pub fn enter(self: &Arc<Self>, holders: Vec<(String, Quota)>, now: Instant) -> Result<Ticket, Refusal> {
        let mut ticket =
            Ticket { ledger: Arc::clone(self), holders: Vec::new(), reserved: Need::default(), used: Need::default() };
        for (name, quota) in holders {
            if quota == Quota::default() {
                continue;
            }
            let mut accounts = self.lock();
            if accounts.len() >= ACCOUNTS && !accounts.contains_key(&name) {
                accounts.retain(|_, account| !account.is_idle(now));
            }
            let account = accounts.entry(name.clone()).or_insert_with(|| Account::new(&quota, now));
            account.enter(&quota, now)?;
            drop(accounts);
            ticket.holders.push((name, quota));
        }
        Ok(ticket)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Sets `need` aside on every account, or on none.
    ///
    /// # Errors
    ///
    /// Fails with the first limit that is reached.
    pub fn reserve(&mut self, need: Need, now: Instant, date: SystemTime) -> Result<(), Refusal> {
        let mut accounts = self.ledger.lock();
        let mut refusal = None;
        let mut paid = 0;
        for (name, quota) in &self.holders {
            let Some(account) = accounts.get_mut(name) else {
                continue;
            };
            if let Err(refused) = account.reserve(quota, need, now, date) {
                refusal = Some(refused);
                break;
            }
            paid += 1;
        }
        let Some(refusal) = refusal else {
            self.reserved = need;
            return Ok(());
        };
        for (name, _) in self.holders.iter().take(paid) {
            if let Some(account) = accounts.get_mut(name) {
                account.give_back(need);
            }
        }
        Err(refusal)
    }

    /// Notes what the request used.
    pub fn used(&mut self, used: Need) {
        self.used = used;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut accounts = self.ledger.lock();
        for (name, _) in &self.holders {
            if let Some(account) = accounts.get_mut(name) {
                account.settle(self.reserved, self.used);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Allowance, Period};

    fn holders(key: Quota, user: Quota) -> Vec<(String, Quota)> {
        vec![("key:k".to_owned(), key), ("user:u".to_owned(), user)]
    }

    #[test]
    fn a_refusal_on_one_account_leaves_nothing_on_the_other() {
        let ledger = Arc::new(Ledger::default());
        let now = Instant::now();
        let key = Quota { concurrency: Some(2), ..Quota::default() };
        let user = Quota { concurrency: Some(1), ..Quota::default() };
        let first = ledger.enter(holders(key, user), now).unwrap();
        assert_eq!(ledger.enter(holders(key, user), now).unwrap_err().limit, "concurrency");
        let second = ledger.enter(holders(key, Quota::default()), now);
        assert!(second.is_ok(), "the key has a place left");
        drop((first, second));
        assert!(ledger.enter(holders(key, user), now).is_ok());
    }

    #[test]
    fn money_is_set_aside_on_all_accounts_or_none() {
        let ledger = Arc::new(Ledger::default());
        let (now, date) = (Instant::now(), SystemTime::now());
        let budget = |usd| Quota { budget: Some(Allowance { usd, per: Period::Month }), ..Quota::default() };
        let mut ticket = ledger.enter(holders(budget(10.0), budget(1.0)), now).unwrap();
        let dear = Need { tokens: 0, usd: 2.0 };
        assert_eq!(ticket.reserve(dear, now, date).unwrap_err().limit, "budget");
        drop(ticket);
        let mut other = ledger.enter(vec![("key:k".to_owned(), budget(10.0))], now).unwrap();
        assert!(other.reserve(Need { tokens: 0, usd: 10.0 }, now, date).is_ok(), "nothing was left behind");
        other.used(Need { tokens: 0, usd: 9.5 });
        drop(other);
        let mut last = ledger.enter(vec![("key:k".to_owned(), budget(10.0))], now).unwrap();
        assert!(last.reserve(Need { tokens: 0, usd: 1.0 }, now, date).is_err());
    }
}
