//! One account: buckets that refill, requests in flight, money spent and set aside. Time is handed in.

use std::time::{Duration, Instant, SystemTime};

use super::calendar;
use crate::config::Quota;

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
    period: u64,
    spent: f64,
    reserved: f64,
    pub(super) touched: Instant,
}

/// A token bucket that holds one minute's worth; it may be overdrawn by what was not foreseen.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    fn refill(&mut self, per_minute: u32, now: Instant) {
        let minutes = now.saturating_duration_since(self.at).as_secs_f64() / 60.0;
        let most = f64::from(per_minute);
        self.level = (self.level + minutes * most).min(most);
        self.at = now;
    }

    /// How long until `amount` is there; a bucket that is full gives whatever is asked, or nothing ever could.
    fn wait(&self, amount: f64, per_minute: u32) -> Option<Duration> {
        let most = f64::from(per_minute);
        let missing = amount.min(most) - self.level;
        (missing > 1e-9).then(|| Duration::from_secs_f64((missing / most * 60.0).clamp(0.001, 3_600.0)))
    }
}

impl Account {
    pub(super) fn new(quota: &Quota, now: Instant) -> Self {
        let full = |per_minute: Option<u32>| Bucket { level: per_minute.map_or(0.0, f64::from), at: now };
        Self {
            requests: full(quota.requests_per_minute),
            tokens: full(quota.tokens_per_minute),
            in_flight: 0,
            period: 0,
            spent: 0.0,
            reserved: 0.0,
            touched: now,
        }
    }

    /// Admits a request: one more in flight, one less in this minute.
    pub(super) fn enter(&mut self, quota: &Quota, now: Instant) -> Result<(), Refusal> {
        self.touched = now;
        if quota.concurrency.is_some_and(|most| self.in_flight >= most) {
            return Err(Refusal { limit: "concurrency", wait: Duration::from_secs(1) });
        }
        if let Some(per_minute) = quota.requests_per_minute {
            self.requests.refill(per_minute, now);
            if let Some(wait) = self.requests.wait(1.0, per_minute) {
                return Err(Refusal { limit: "requests_per_minute", wait });
            }
            self.requests.level -= 1.0;
        }
        self.in_flight += 1;
        Ok(())
    }

    /// Sets `need` aside until the request is settled.
    pub(super) fn reserve(&mut self, quota: &Quota, need: Need, now: Instant, date: SystemTime) -> Result<(), Refusal> {
        if let Some(per_minute) = quota.tokens_per_minute {
            self.tokens.refill(per_minute, now);
            if let Some(wait) = self.tokens.wait(count(need.tokens), per_minute) {
                return Err(Refusal { limit: "tokens_per_minute", wait });
            }
        }
        if let Some(budget) = quota.budget {
            let (period, rest) = calendar::period(budget.per, date);
            if period != self.period {
                self.period = period;
                self.spent = 0.0;
            }
            if self.spent + self.reserved + need.usd > budget.usd {
                return Err(Refusal { limit: "budget", wait: rest });
            }
        }
        self.tokens.level -= count(need.tokens);
        self.reserved += need.usd;
        Ok(())
    }

    /// Takes back what was set aside for a request that goes on unsent.
    pub(super) fn give_back(&mut self, need: Need) {
        self.tokens.level += count(need.tokens);
        self.reserved = (self.reserved - need.usd).max(0.0);
    }

    /// Ends a request: what was set aside is replaced by what was used.
    pub(super) fn settle(&mut self, reserved: Need, used: Need) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.tokens.level += count(reserved.tokens) - count(used.tokens);
        self.reserved = (self.reserved - reserved.usd).max(0.0);
        self.spent += used.usd;
    }

    /// Returns whether forgetting the account would give nothing away.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let is_settled = self.in_flight == 0 && self.spent <= 0.0;
        is_settled && now.saturating_duration_since(self.touched) > Duration::from_secs(60)
    }
}

#[expect(clippy::cast_precision_loss, reason = "invariant: token counts stay far below 2^53")]
fn count(tokens: u64) -> f64 {
    tokens as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Allowance, Period};

    fn need(tokens: u64, usd: f64) -> Need {
        Need { tokens, usd }
    }

    #[test]
    fn requests_refill_over_the_minute() {
        let quota = Quota { requests_per_minute: Some(2), ..Quota::default() };
        let now = Instant::now();
        let mut account = Account::new(&quota, now);
        assert!(account.enter(&quota, now).is_ok() && account.enter(&quota, now).is_ok());
        let refusal = account.enter(&quota, now).unwrap_err();
        assert_eq!((refusal.limit, refusal.wait.as_secs()), ("requests_per_minute", 30));
        assert!(account.enter(&quota, now + Duration::from_secs(31)).is_ok());
    }

    #[test]
    fn tokens_are_settled_by_what_was_used() {
        let quota = Quota { tokens_per_minute: Some(100), ..Quota::default() };
        let (now, date) = (Instant::now(), SystemTime::now());
        let mut account = Account::new(&quota, now);
        account.reserve(&quota, need(90, 0.0), now, date).unwrap();
        assert_eq!(account.reserve(&quota, need(20, 0.0), now, date).unwrap_err().limit, "tokens_per_minute");
        account.settle(need(90, 0.0), need(10, 0.0));
        assert!(account.reserve(&quota, need(20, 0.0), now, date).is_ok());
    }

    #[test]
    fn a_request_larger_than_the_limit_passes_when_the_minute_is_unused() {
        let quota = Quota { tokens_per_minute: Some(100), ..Quota::default() };
        let (now, date) = (Instant::now(), SystemTime::now());
        let mut account = Account::new(&quota, now);
        assert!(account.reserve(&quota, need(1_000, 0.0), now, date).is_ok());
        assert!(account.reserve(&quota, need(1, 0.0), now, date).is_err());
    }

    #[test]
    fn what_is_set_aside_cannot_be_spent_twice() {
        let budget = Some(Allowance { usd: 1.0, per: Period::Day });
        let quota = Quota { budget, ..Quota::default() };
        let (now, date) = (Instant::now(), SystemTime::UNIX_EPOCH);
        let mut account = Account::new(&quota, now);
        account.reserve(&quota, need(0, 0.6), now, date).unwrap();
        assert_eq!(account.reserve(&quota, need(0, 0.6), now, date).unwrap_err().limit, "budget");
        account.settle(need(0, 0.6), need(0, 0.1));
        assert!(account.reserve(&quota, need(0, 0.6), now, date).is_ok());
        account.settle(need(0, 0.6), need(0, 0.6));
        assert!(account.reserve(&quota, need(0, 0.6), now, date).is_err());
        let tomorrow = date + Duration::from_secs(86_400);
        assert!(account.reserve(&quota, need(0, 0.6), now, tomorrow).is_ok());
    }

    #[test]
    fn concurrency_is_given_back() {
        let quota = Quota { concurrency: Some(1), ..Quota::default() };
        let now = Instant::now();
        let mut account = Account::new(&quota, now);
        account.enter(&quota, now).unwrap();
        assert_eq!(account.enter(&quota, now).unwrap_err().limit, "concurrency");
        account.settle(Need::default(), Need::default());
        assert!(account.enter(&quota, now).is_ok());
    }
}
