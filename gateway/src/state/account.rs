//! One account: buckets that refill, requests in flight, money spent and set aside. Time is handed in.

use std::time::{Duration, Instant};

use super::store::Spending;
use crate::config::{Period, Quota};

/// What a request needs, as far as it is known before it is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Need {
    /// Tokens of prompt and answer.
    pub tokens: u64,
    /// Their price.
    pub usd: f64,
}

/// Why an account cannot pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The limit that is reached, as the configuration spells it.
    pub limit: &'static str,
    /// When it is worth trying again.
    pub wait: Duration,
}

/// The state of one key or user.
#[derive(Debug, Clone)]
pub(super) struct Account {
    requests: Bucket,
    tokens: Bucket,
    in_flight: u32,
    day: Purse,
    month: Purse,
    pub(super) touched: Instant,
}

/// The money of one period.
#[derive(Debug, Clone, Copy, Default)]
struct Purse {
    /// The period's number; 0 before the first reservation.
    period: u64,
    spent: f64,
    reserved: f64,
}

/// A token bucket that holds one minute's worth; it may be overdrawn by what was not foreseen.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// None while there is no limit: one that comes with a reload begins with a full minute, whatever was used before.
    level: Option<f64>,
    at: Instant,
}

impl Bucket {
    /// Lets flow in what has come since, and returns how long until `amount` is there; a bucket that is full gives
    /// whatever is asked, or nothing ever could.
    fn wait(&mut self, amount: f64, per_minute: Option<u32>, now: Instant) -> Option<Duration> {
        let Some(most) = per_minute.map(f64::from) else {
            self.level = None;
            return None;
        };
        let minutes = now.saturating_duration_since(self.at).as_secs_f64() / 60.0;
        let level = self.level.map_or(most, |level| (level + minutes * most).min(most));
        (self.level, self.at) = (Some(level), now);
        let missing = amount.min(most) - level;
        (missing > 1e-9).then(|| Duration::from_secs_f64((missing / most * 60.0).clamp(0.001, 3_600.0)))
    }

    /// Puts `amount` in, or draws it when it is negative, for a request whose quota had a limit.
    fn put(&mut self, amount: f64, per_minute: Option<u32>) {
        if let Some(level) = self.level.as_mut().filter(|_| per_minute.is_some()) {
            *level += amount;
        }
    }
}

impl Account {
    pub(super) fn new(quota: &Quota, now: Instant) -> Self {
        let full = |per_minute: Option<u32>| Bucket { level: per_minute.map(f64::from), at: now };
        Self {
            requests: full(quota.requests_per_minute),
            tokens: full(quota.tokens_per_minute),
            in_flight: 0,
            day: Purse::default(),
            month: Purse::default(),
            touched: now,
        }
    }

    /// Returns why one more request cannot be admitted, if so.
    pub(super) fn may_enter(&mut self, quota: &Quota, now: Instant) -> Result<(), Refusal> {
        self.touched = now;
        if quota.concurrency.is_some_and(|most| self.in_flight >= most) {
            return Err(Refusal { limit: "concurrency", wait: Duration::from_secs(1) });
        }
        match self.requests.wait(1.0, quota.requests_per_minute, now) {
            Some(wait) => Err(Refusal { limit: "requests_per_minute", wait }),
            None => Ok(()),
        }
    }

    /// Admits a request: one more in flight, one less in this minute.
    pub(super) fn enter(&mut self, quota: &Quota) {
        self.requests.put(-1.0, quota.requests_per_minute);
        self.in_flight += 1;
    }

    /// Returns why `tokens` cannot be set aside, if so.
    pub(super) fn may_take(&mut self, quota: &Quota, tokens: u64, now: Instant) -> Result<(), Refusal> {
        match self.tokens.wait(count(tokens), quota.tokens_per_minute, now) {
            Some(wait) => Err(Refusal { limit: "tokens_per_minute", wait }),
            None => Ok(()),
        }
    }

    /// Sets `tokens` aside until the request leaves.
    pub(super) fn take(&mut self, quota: &Quota, tokens: u64) {
        self.tokens.put(-count(tokens), quota.tokens_per_minute);
    }

    /// Ends a request: the tokens set aside are replaced by those used.
    pub(super) fn leave(&mut self, quota: &Quota, reserved: u64, used: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.tokens.put(count(reserved) - count(used), quota.tokens_per_minute);
    }

    /// Sets `usd` aside of the day or month.
    pub(super) fn set_aside(&mut self, per: Period, usd: f64) {
        self.purse(per).reserved += usd;
    }

    /// Replaces what was set aside of the day or month by what was spent.
    pub(super) fn pay(&mut self, per: Period, reserved: f64, spent: f64) {
        let purse = self.purse(per);
        purse.reserved = (purse.reserved - reserved).max(0.0);
        purse.spent += spent;
    }

    /// Begins the day or month with this number, of which `spent` is gone already.
    pub(super) fn begin(&mut self, per: Period, period: u64, spent: f64) {
        let purse = self.purse(per);
        *purse = Purse { period, spent, ..*purse };
    }

    /// Returns what is gone of the day's or month's budget, money set aside included.
    pub(super) fn spending(&self, per: Period) -> Spending {
        let purse = match per {
            Period::Day => &self.day,
            Period::Month => &self.month,
        };
        Spending { period: purse.period, usd: purse.spent + purse.reserved }
    }

    fn purse(&mut self, per: Period) -> &mut Purse {
        match per {
            Period::Day => &mut self.day,
            Period::Month => &mut self.month,
        }
    }

    /// Returns whether no request is running on it.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0
    }
}

#[expect(clippy::cast_precision_loss, reason = "invariant: token counts stay far below 2^53")]
fn count(tokens: u64) -> f64 {
    tokens as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn enter(account: &mut Account, quota: &Quota, now: Instant) -> Result<(), Refusal> {
        account.may_enter(quota, now)?;
        account.enter(quota);
        Ok(())
    }

    fn take(account: &mut Account, quota: &Quota, tokens: u64) -> Result<(), Refusal> {
        account.may_take(quota, tokens, account.touched)?;
        account.take(quota, tokens);
        Ok(())
    }

    #[test]
    fn requests_refill_over_the_minute() {
        let quota = Quota { requests_per_minute: Some(2), ..Quota::UNLIMITED };
        let now = Instant::now();
        let mut account = Account::new(&quota, now);
        assert!(enter(&mut account, &quota, now).is_ok() && enter(&mut account, &quota, now).is_ok());
        let refusal = enter(&mut account, &quota, now).unwrap_err();
        assert_eq!((refusal.limit, refusal.wait.as_secs()), ("requests_per_minute", 30));
        assert!(enter(&mut account, &quota, now + Duration::from_secs(31)).is_ok());
    }

    #[test]
    fn tokens_are_settled_by_what_was_used() {
        let quota = Quota { tokens_per_minute: Some(100), ..Quota::UNLIMITED };
        let mut account = Account::new(&quota, Instant::now());
        take(&mut account, &quota, 90).unwrap();
        assert_eq!(take(&mut account, &quota, 20).unwrap_err().limit, "tokens_per_minute");
        account.leave(&quota, 90, 10);
        assert!(take(&mut account, &quota, 20).is_ok());
    }

    #[test]
    fn a_limit_that_comes_later_does_not_ask_for_what_was_used_before() {
        let now = Instant::now();
        let limited = Quota { requests_per_minute: Some(2), tokens_per_minute: Some(100), ..Quota::UNLIMITED };
        let mut account = Account::new(&Quota::UNLIMITED, now);
        for _ in 0..50 {
            enter(&mut account, &Quota::UNLIMITED, now).unwrap();
            take(&mut account, &Quota::UNLIMITED, 1_000).unwrap();
        }
        assert!(enter(&mut account, &limited, now).is_ok() && enter(&mut account, &limited, now).is_ok());
        assert!(enter(&mut account, &limited, now).is_err(), "a minute's worth and no more");
        take(&mut account, &limited, 90).unwrap();
        account.leave(&Quota::UNLIMITED, 1_000, 0);
        assert!(take(&mut account, &limited, 20).is_err(), "what was never drawn is not put back");
        account.leave(&Quota::UNLIMITED, 1_000, 5_000);
        assert!(take(&mut account, &limited, 10).is_ok());
        assert!(enter(&mut account, &Quota::UNLIMITED, now).is_ok());
        assert!(enter(&mut account, &limited, now).is_ok(), "a limit that was lifted begins anew");
    }

    #[test]
    fn a_request_larger_than_the_limit_passes_when_the_minute_is_unused() {
        let quota = Quota { tokens_per_minute: Some(100), ..Quota::UNLIMITED };
        let mut account = Account::new(&quota, Instant::now());
        assert!(take(&mut account, &quota, 1_000).is_ok());
        assert!(take(&mut account, &quota, 1).is_err());
    }

    #[test]
    fn what_was_spent_takes_the_place_of_what_was_set_aside() {
        let mut account = Account::new(&Quota::UNLIMITED, Instant::now());
        account.begin(Period::Day, 1, 0.5);
        account.set_aside(Period::Day, 0.25);
        assert_eq!(account.spending(Period::Day), Spending { period: 1, usd: 0.75 });
        account.pay(Period::Day, 0.25, 0.125);
        assert_eq!(account.spending(Period::Day), Spending { period: 1, usd: 0.625 });
        account.begin(Period::Day, 2, 0.0);
        assert_eq!(account.spending(Period::Day).usd, 0.0, "a new period is a new budget");
        assert_eq!(account.spending(Period::Month).usd, 0.0, "the month was not touched");
    }

    #[test]
    fn concurrency_is_given_back() {
        let quota = Quota { concurrency: Some(1), ..Quota::UNLIMITED };
        let now = Instant::now();
        let mut account = Account::new(&quota, now);
        enter(&mut account, &quota, now).unwrap();
        assert_eq!(enter(&mut account, &quota, now).unwrap_err().limit, "concurrency");
        account.leave(&quota, 0, 0);
        assert!(enter(&mut account, &quota, now).is_ok());
    }

    proptest! {
        /// A bucket gives at most its size and what flowed in since, however the requests are spread.
        #[test]
        fn no_pattern_of_requests_beats_the_rate(per_minute in 1u32..1_000, gaps in prop::collection::vec(0u64..5_000, 1..200)) {
            let quota = Quota { requests_per_minute: Some(per_minute), ..Quota::UNLIMITED };
            let start = Instant::now();
            let mut account = Account::new(&quota, start);
            let (mut admitted, mut elapsed) = (0.0, 0);
            for gap in gaps {
                elapsed += gap;
                let now = start + Duration::from_millis(elapsed);
                match enter(&mut account, &quota, now) {
                    Ok(()) => admitted += 1.0,
                    Err(refusal) => {
                        // Who waits as long as told gets in.
                        let later = now + refusal.wait + Duration::from_millis(1);
                        prop_assert!(account.clone().may_enter(&quota, later).is_ok());
                    }
                }
                let minutes = Duration::from_millis(elapsed).as_secs_f64() / 60.0;
                prop_assert!(admitted <= f64::from(per_minute) * (1.0 + minutes) + 1e-6);
            }
        }
    }
}
