//! One request's place in the books, from its admission until it is settled.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{
    account::{Need, Refusal},
    books::{Books, Hold, Line, Sight, Times},
    shared::{Desk, Verdict},
};
use crate::config::Quota;

/// A request that was admitted; settled when dropped.
#[derive(Debug)]
pub struct Ticket {
    books: Arc<Books>,
    desk: Option<Arc<Desk>>,
    holders: Vec<(String, Quota)>,
    reserved_tokens: u64,
    used_tokens: u64,
    /// None without a budget, and before money is set aside.
    hold: Option<Hold>,
    is_shared: bool,
}

impl Ticket {
    pub(super) fn new(books: Arc<Books>, desk: Option<Arc<Desk>>, holders: Vec<(String, Quota)>) -> Self {
        Self { books, desk, holders, reserved_tokens: 0, used_tokens: 0, hold: None, is_shared: true }
    }

    /// Sets `need` aside on every account, or on none. Waits only for a shared store, and only where there is a budget.
    ///
    /// # Errors
    ///
    /// Fails with the first limit that is reached.
    pub async fn reserve(&mut self, need: Need, now: Instant, date: SystemTime) -> Result<(), Refusal> {
        let lines = self.take(need, Times { now, date })?;
        if lines.is_empty() {
            return Ok(());
        }
        if let Some(desk) = &self.desk {
            match desk.ask(lines.clone(), need.usd).await {
                Verdict::Granted(hold) => {
                    self.hold = Some(hold);
                    return Ok(());
                }
                Verdict::Refused(refusal) => return Err(refusal),
                Verdict::Away => self.is_shared = false,
            }
        }
        let mut accounts = self.books.open();
        self.books.may_spend(&accounts, &lines, need.usd, Sight::All)?;
        let hold = self.books.set_aside(&mut accounts, lines, need.usd);
        drop(accounts);
        hold.tell();
        self.hold = Some(hold);
        Ok(())
    }

    /// Notes what the request used.
    pub fn used(&mut self, used: Need) {
        self.used_tokens = used.tokens;
        if let Some(hold) = &mut self.hold {
            hold.used = used.usd;
        }
    }

    /// Returns whether what the request spends is written down; without a budget there is nothing to write.
    pub fn is_written(&self) -> bool {
        self.hold.is_none() || self.books.store.is_written()
    }

    /// Returns whether its money was asked for where all processes ask; one that is alone, or asks for none, lacks nothing.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Takes the tokens; returns the budgets to ask, of which none is used up by this process alone.
    fn take(&mut self, need: Need, times: Times) -> Result<Vec<Line>, Refusal> {
        let mut accounts = self.books.open();
        let lines = self.books.lines(&mut accounts, &self.holders, times)?;
        for (name, quota) in &self.holders {
            if let Some(account) = accounts.find(name) {
                account.may_take(quota, need.tokens, times.now)?;
            }
        }
        self.books.may_spend(&accounts, &lines, need.usd, Sight::Own)?;
        for (name, quota) in &self.holders {
            if let Some(account) = accounts.find(name) {
                account.take(quota, need.tokens);
            }
        }
        drop(accounts);
        self.reserved_tokens = need.tokens;
        Ok(lines)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Money first: an account without requests in flight may be forgotten.
        self.hold.take();
        let mut accounts = self.books.open();
        for (name, quota) in &self.holders {
            if let Some(account) = accounts.find(name) {
                account.leave(quota, self.reserved_tokens, self.used_tokens);
            }
        }
    }
}
