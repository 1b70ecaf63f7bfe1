//! The accounts of this process, and the money that is set aside in them.

use std::{
    cell::Cell,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime},
};

use super::{
    account::{Account, Refusal},
    calendar, lock,
    store::{Spending, Store},
    untold::Untold,
};
use crate::config::{Period, Quota};

/// Idle accounts of which the one unused for longest makes room: a sample finds one that is old enough.
const SAMPLE: usize = 16;

/// What users' accounts begin with.
const USER: &str = "user:";

/// Pause between two searches of the store for periods that are over.
pub(super) const SWEEP: Duration = Duration::from_secs(10);

/// The accounts, by `key:NAME` and `user:ID`, and what remembers their money.
#[derive(Debug)]
pub(super) struct Books {
    accounts: Mutex<Accounts>,
    pub(super) store: Arc<dyn Store>,
    /// None where no other process is told.
    untold: Option<Arc<Untold>>,
    most: usize,
}

/// The accounts while nobody else changes them.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    by_name: HashMap<String, Account>,
    swept: Option<Swept>,
}

/// What the last search of a full store for periods that are over has found.
#[derive(Debug, Clone, Copy)]
struct Swept {
    at: Instant,
    /// The periods that ran then.
    running: [u64; 2],
    /// The period whose end makes room next.
    next: Period,
}

/// One budget that a request draws on.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) account: String,
    pub(super) per: Period,
    /// The period's number.
    pub(super) period: u64,
    /// USD for the period.
    pub(super) most: f64,
    /// How long the period still lasts.
    pub(super) rest: Duration,
}

/// Money set aside for a request; when dropped, what was used takes its place.
#[derive(Debug)]
pub(super) struct Hold {
    books: Arc<Books>,
    lines: Vec<Line>,
    reserved: f64,
    pub(super) used: f64,
}

/// The two clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) now: Instant,
    pub(super) date: SystemTime,
}

/// Whose spending a budget is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// This process's.
    Own,
    /// This process's, and what is known of the others'.
    All,
}

impl Line {
    /// Where a store keeps the money.
    pub(super) fn shelf(&self) -> String {
        format!("{}/{}", self.per.as_str(), self.account)
    }
}

impl Books {
    pub(super) fn new(most: usize, store: Arc<dyn Store>, untold: Option<Arc<Untold>>) -> Self {
        Self { accounts: Mutex::default(), store, untold, most }
    }

    /// Keeps everybody else from the accounts.
    pub(super) fn open(&self) -> MutexGuard<'_, Accounts> {
        lock(&self.accounts)
    }

    /// Admits a request on every account of `holders`, or on none.
    pub(super) fn enter(&self, holders: &[(String, Quota)], now: Instant) -> Result<(), Refusal> {
        let mut accounts = self.open();
        for (name, quota) in holders {
            accounts.account(name, quota, self.most, now).may_enter(quota, now)?;
        }
        for (name, quota) in holders {
            accounts.account(name, quota, self.most, now).enter(quota);
        }
        Ok(())
    }

    /// Returns the budgets of `holders`, each account put into the period that holds `times.date`.
    pub(super) fn lines(
        &self,
        accounts: &mut Accounts,
        holders: &[(String, Quota)],
        times: Times,
    ) -> Result<Vec<Line>, Refusal> {
        let mut lines = Vec::new();
        for (name, quota) in holders {
            let Some(budget) = quota.budget else { continue };
            for per in Period::ALL {
                if let Some(most) = budget.limit(per) {
                    let (period, rest) = calendar::period(per, times.date);
                    let line = Line { account: name.clone(), per, period, most, rest };
                    self.turn(accounts, &line, times)?;
                    lines.push(line);
                }
            }
        }
        Ok(lines)
    }

    /// Returns why `usd` is more than what is left of `lines`, if so; who is over several waits for the longest.
    pub(super) fn may_spend(&self, accounts: &Accounts, lines: &[Line], usd: f64, sight: Sight) -> Result<(), Refusal> {
        let is_over = |line: &&Line| {
            let own = accounts.by_name.get(&line.account).map_or(0.0, |account| account.spending(line.per).usd);
            let others = match sight {
                Sight::Own => 0.0,
                Sight::All => self.store.others(&line.shelf(), line.period),
            };
            own + others + usd > line.most
        };
        match lines.iter().filter(is_over).map(|line| line.rest).max() {
            Some(wait) => Err(Refusal { limit: "budget", wait }),
            None => Ok(()),
        }
    }

    /// Sets `usd` aside in `lines`, for which somebody has allowed it.
    pub(super) fn set_aside(self: &Arc<Self>, accounts: &mut Accounts, lines: Vec<Line>, usd: f64) -> Hold {
        self.each(accounts, &lines, |account, per| account.set_aside(per, usd));
        Hold { books: Arc::clone(self), lines, reserved: usd, used: 0.0 }
    }

    /// Changes the accounts of `lines` and tells the store.
    fn each(&self, accounts: &mut Accounts, lines: &[Line], change: impl Fn(&mut Account, Period)) {
        for line in lines {
            if let Some(account) = accounts.by_name.get_mut(&line.account) {
                change(account, line.per);
                self.store.keep(&line.shelf(), account.spending(line.per));
            }
        }
    }

    /// Puts the line's account into the line's day or month.
    fn turn(&self, accounts: &mut Accounts, line: &Line, times: Times) -> Result<(), Refusal> {
        let Line { per, period, .. } = *line;
        let account = accounts.by_name.get_mut(&line.account);
        let Some(account) = account.filter(|account| account.spending(per).period != period) else {
            return Ok(());
        };
        let known = self.store.recall(&line.shelf());
        account.begin(per, period, known.filter(|known| known.period == period).map_or(0.0, |known| known.usd));
        // Keys always find room: they are as many as the configuration names. Users are as many as a key likes to name.
        let is_users = line.account.starts_with(USER);
        if known.is_none() && self.store.len() >= self.most_kept() {
            let next = self.sweep(&mut accounts.swept, times);
            if is_users && self.store.len() >= self.most_kept() {
                account.begin(per, 0, 0.0);
                return Err(Refusal { limit: "max_tracked_users", wait: calendar::period(next, times.date).1 });
            }
        }
        Ok(())
    }

    /// Has the store forget the periods that are over, unless it just has; returns the period whose end makes room next.
    fn sweep(&self, swept: &mut Option<Swept>, times: Times) -> Period {
        let running = calendar::running(times.date);
        let is_fresh =
            |swept: &Swept| swept.running == running && times.now.saturating_duration_since(swept.at) <= SWEEP;
        if let Some(swept) = swept.filter(is_fresh) {
            return swept.next;
        }
        let today = calendar::period(Period::Day, times.date).0;
        let has_days = Cell::new(false);
        self.store.forget(&|spending: Spending| {
            has_days.set(has_days.get() || spending.period == today);
            !running.contains(&spending.period)
        });
        let next = if has_days.get() { Period::Day } else { Period::Month };
        *swept = Some(Swept { at: times.now, running, next });
        next
    }

    /// Each account may have a day and a month.
    fn most_kept(&self) -> usize {
        self.most.saturating_mul(Period::ALL.len())
    }
}

impl Accounts {
    /// Returns the account `name`, if there is one.
    pub(super) fn find(&mut self, name: &str) -> Option<&mut Account> {
        self.by_name.get_mut(name)
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    fn account(&mut self, name: &str, quota: &Quota, most: usize, now: Instant) -> &mut Account {
        if self.by_name.len() >= most && !self.by_name.contains_key(name) {
            // Users first: they can be so many that a key's rate would begin anew whenever it rests.
            let oldest = self.oldest_idle(|name| name.starts_with(USER)).or_else(|| self.oldest_idle(|_| true));
            oldest.map(|name| self.by_name.remove(&name));
        }
        self.by_name.entry(name.to_owned()).or_insert_with(|| Account::new(quota, now))
    }

    /// Returns the account unused for longest of a sample of the idle ones for which `may_go` holds.
    fn oldest_idle(&self, may_go: impl Fn(&str) -> bool) -> Option<String> {
        let idle = self.by_name.iter().filter(|(name, account)| account.is_idle() && may_go(name)).take(SAMPLE);
        idle.min_by_key(|(_, account)| account.touched).map(|(name, _)| name.clone())
    }
}

impl Hold {
    /// Lets other processes know of the change.
    pub(super) fn tell(&self) {
        if let Some(untold) = &self.books.untold {
            untold.add(self.lines.iter().map(Line::shelf));
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut accounts = self.books.open();
        self.books.each(&mut accounts, &self.lines, |account, per| account.pay(per, self.reserved, self.used));
        drop(accounts);
        self.tell();
    }
}
