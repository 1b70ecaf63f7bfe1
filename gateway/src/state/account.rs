//! One account: its rate limits, its requests in flight, and its spending in the current day and month.

use std::time::{Duration, Instant};

use super::{bucket::Bucket, spending_store::Spending};
use crate::config::{Period, Quota};

/// The estimated or actual cost of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Input and output tokens.
    pub tokens: u64,
    /// Their price.
    pub usd: f64,
}

/// A limit that refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitExceeded {
    /// The limit's key in the configuration.
    pub limit: &'static str,
    /// When a retry may succeed.
    pub retry_after: Duration,
}

/// The state of one key or user.
#[derive(Debug, Clone)]
pub(super) struct Account {
    requests: Bucket,
    tokens: Bucket,
    in_flight: u32,
    day: PeriodSpend,
    month: PeriodSpend,
    pub(super) last_used: Instant,
}

/// Money spent and reserved in one period.
#[derive(Debug, Clone, Copy, Default)]
struct PeriodSpend {
    /// The period's number; 0 before the first reservation.
    period: u64,
    spent: f64,
    reserved: f64,
}

impl Account {
    pub(super) fn new(quota: &Quota, now: Instant) -> Self {
        Self {
            requests: Bucket::full(quota.requests_per_minute, now),
            tokens: Bucket::full(quota.tokens_per_minute, now),
            in_flight: 0,
            day: PeriodSpend::default(),
            month: PeriodSpend::default(),
            last_used: now,
        }
    }

    /// Checks whether one more request may be admitted.
    pub(super) fn check_admission(&mut self, quota: &Quota, now: Instant) -> Result<(), LimitExceeded> {
        self.last_used = now;
        if quota.concurrency.is_some_and(|limit| self.in_flight >= limit) {
            return Err(LimitExceeded { limit: "concurrency", retry_after: Duration::from_secs(1) });
        }
        match self.requests.refill_and_wait(1.0, quota.requests_per_minute, now) {
            Some(retry_after) => Err(LimitExceeded { limit: "requests_per_minute", retry_after }),
            None => Ok(()),
        }
    }

    /// Admits a request: one more in flight, one less in this minute.
    pub(super) fn admit(&mut self, quota: &Quota) {
        self.requests.add(-1.0, quota.requests_per_minute);
        self.in_flight += 1;
    }

    /// Checks whether `extra` more requests may be admitted beside one that has just been.
    pub(super) fn check_batch(&mut self, quota: &Quota, extra: u32, now: Instant) -> Result<(), LimitExceeded> {
        // A batch larger than the limit needs a bucket that was full before its first request.
        let most = quota.requests_per_minute.unwrap_or(extra).saturating_sub(1);
        match self.requests.refill_and_wait(f64::from(extra.min(most)), quota.requests_per_minute, now) {
            Some(retry_after) => Err(LimitExceeded { limit: "requests_per_minute", retry_after }),
            None => Ok(()),
        }
    }

    /// Admits `extra` more requests, which are not in flight by themselves.
    pub(super) fn admit_batch(&mut self, quota: &Quota, extra: u32) {
        self.requests.add(-f64::from(extra), quota.requests_per_minute);
    }

    /// Checks whether `tokens` may be reserved.
    pub(super) fn check_tokens(&mut self, quota: &Quota, tokens: u64, now: Instant) -> Result<(), LimitExceeded> {
        match self.tokens.refill_and_wait(as_f64(tokens), quota.tokens_per_minute, now) {
            Some(retry_after) => Err(LimitExceeded { limit: "tokens_per_minute", retry_after }),
            None => Ok(()),
        }
    }

    /// Reserves `tokens` until the request is released.
    pub(super) fn reserve_tokens(&mut self, quota: &Quota, tokens: u64) {
        self.tokens.add(-as_f64(tokens), quota.tokens_per_minute);
    }

    /// Ends a request: the tokens used replace the tokens reserved.
    pub(super) fn release(&mut self, quota: &Quota, reserved: u64, used: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.tokens.add(as_f64(reserved) - as_f64(used), quota.tokens_per_minute);
    }

    /// Reserves `usd` of the day's or the month's budget.
    pub(super) fn reserve(&mut self, per: Period, usd: f64) {
        self.period_spend(per).reserved += usd;
    }

    /// Replaces what was reserved of the day's or the month's budget by what was spent.
    pub(super) fn settle(&mut self, per: Period, reserved: f64, spent: f64) {
        let spend = self.period_spend(per);
        spend.reserved = (spend.reserved - reserved).max(0.0);
        spend.spent += spent;
    }

    /// Starts the day or the month numbered `period`, of whose budget `spent` is gone already. Reservations of running
    /// requests move into it.
    pub(super) fn start_period(&mut self, per: Period, period: u64, spent: f64) {
        let spend = self.period_spend(per);
        *spend = PeriodSpend { period, spent, ..*spend };
    }

    /// Returns what is gone of the day's or the month's budget, reservations included.
    pub(super) fn spending(&self, per: Period) -> Spending {
        let spend = match per {
            Period::Day => &self.day,
            Period::Month => &self.month,
        };
        Spending { period: spend.period, usd: spend.spent + spend.reserved }
    }

    /// Returns whether no request is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    fn period_spend(&mut self, per: Period) -> &mut PeriodSpend {
        match per {
            Period::Day => &mut self.day,
            Period::Month => &mut self.month,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "invariant: token counts stay far below 2^53")]
fn as_f64(tokens: u64) -> f64 {
    tokens as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn admit(account: &mut Account, quota: &Quota, now: Instant) -> Result<(), LimitExceeded> {
        account.check_admission(quota, now)?;
        account.admit(quota);
        Ok(())
    }

    fn reserve_tokens(account: &mut Account, quota: &Quota, tokens: u64) -> Result<(), LimitExceeded> {
        account.check_tokens(quota, tokens, account.last_used)?;
        account.reserve_tokens(quota, tokens);
        Ok(())
    }

    #[test]
    fn requests_refill_over_the_minute() {
        let quota = Quota { requests_per_minute: Some(2), ..Quota::UNLIMITED };
        let now = Instant::now();
        let mut account = Account::new(&quota, now);
        assert!(admit(&mut account, &quota, now).is_ok() && admit(&mut account, &quota, now).is_ok());
        let refusal = admit(&mut account, &quota, now).unwrap_err();
        assert_eq!((refusal.limit, refusal.retry_after.as_secs()), ("requests_per_minute", 30));
        assert!(admit(&mut account, &quota, now + Duration::from_secs(31)).is_ok());
    }

    #[test]
    fn each_request_of_a_batch_counts() {
        let quota = Quota { requests_per_minute: Some(10), ..Quota::UNLIMITED };
        let now = Instant::now();
        let mut account = Account::new(&quota, now);
        admit(&mut account, &quota, now).unwrap();
        account.check_batch(&quota, 5, now).unwrap();
        account.admit_batch(&quota, 5);
        let refusal = account.check_batch(&quota, 5, now).unwrap_err();
        assert_eq!((refusal.limit, refusal.retry_after.as_secs()), ("requests_per_minute", 6), "4 of 10 are left");
        let mut full = Account::new(&quota, now);
        admit(&mut full, &quota, now).unwrap();
        assert!(full.check_batch(&quota, 100, now).is_ok(), "a batch larger than the limit passes a full bucket");
    }

    #[test]
    fn tokens_are_settled_by_what_was_used() {
        let quota = Quota { tokens_per_minute: Some(100), ..Quota::UNLIMITED };
        let mut account = Account::new(&quota, Instant::now());
        reserve_tokens(&mut account, &quota, 90).unwrap();
        assert_eq!(reserve_tokens(&mut account, &quota, 20).unwrap_err().limit, "tokens_per_minute");
        account.release(&quota, 90, 10);
        assert!(reserve_tokens(&mut account, &quota, 20).is_ok());
    }

    #[test]
    fn a_new_limit_ignores_earlier_usage() {
        let now = Instant::now();
        let limited = Quota { requests_per_minute: Some(2), tokens_per_minute: Some(100), ..Quota::UNLIMITED };
        let mut account = Account::new(&Quota::UNLIMITED, now);
        for _ in 0..50 {
            admit(&mut account, &Quota::UNLIMITED, now).unwrap();
            reserve_tokens(&mut account, &Quota::UNLIMITED, 1_000).unwrap();
        }
        assert!(admit(&mut account, &limited, now).is_ok() && admit(&mut account, &limited, now).is_ok());
        assert!(admit(&mut account, &limited, now).is_err(), "one minute's worth only");
        reserve_tokens(&mut account, &limited, 90).unwrap();
        account.release(&Quota::UNLIMITED, 1_000, 0);
        assert!(reserve_tokens(&mut account, &limited, 20).is_err(), "tokens that were never taken are not returned");
        account.release(&Quota::UNLIMITED, 1_000, 5_000);
        assert!(reserve_tokens(&mut account, &limited, 10).is_ok());
        assert!(admit(&mut account, &Quota::UNLIMITED, now).is_ok());
        assert!(admit(&mut account, &limited, now).is_ok(), "a limit that was removed starts full again");
    }

    #[test]
    fn a_request_larger_than_the_limit_passes_a_full_bucket() {
        let quota = Quota { tokens_per_minute: Some(100), ..Quota::UNLIMITED };
        let mut account = Account::new(&quota, Instant::now());
        assert!(reserve_tokens(&mut account, &quota, 1_000).is_ok());
        assert!(reserve_tokens(&mut account, &quota, 1).is_err());
    }

    #[test]
    fn settled_spending_replaces_the_reservation() {
        let mut account = Account::new(&Quota::UNLIMITED, Instant::now());
        account.start_period(Period::Day, 1, 0.5);
        account.reserve(Period::Day, 0.25);
        assert_eq!(account.spending(Period::Day), Spending { period: 1, usd: 0.75 });
        account.settle(Period::Day, 0.25, 0.125);
        assert_eq!(account.spending(Period::Day), Spending { period: 1, usd: 0.625 });
        account.start_period(Period::Day, 2, 0.0);
        assert_eq!(account.spending(Period::Day).usd, 0.0, "a new period is a new budget");
        assert_eq!(account.spending(Period::Month).usd, 0.0, "the month is unchanged");
    }

    #[test]
    fn release_frees_concurrency() {
        let quota = Quota { concurrency: Some(1), ..Quota::UNLIMITED };
        let now = Instant::now();
        let mut account = Account::new(&quota, now);
        admit(&mut account, &quota, now).unwrap();
        assert_eq!(admit(&mut account, &quota, now).unwrap_err().limit, "concurrency");
        account.release(&quota, 0, 0);
        assert!(admit(&mut account, &quota, now).is_ok());
    }

    proptest! {
        /// A bucket admits at most its capacity plus the refill since, for any arrival pattern.
        #[test]
        fn no_arrival_pattern_exceeds_the_rate(per_minute in 1u32..1_000, gaps in prop::collection::vec(0u64..5_000, 1..200)) {
            let quota = Quota { requests_per_minute: Some(per_minute), ..Quota::UNLIMITED };
            let start = Instant::now();
            let mut account = Account::new(&quota, start);
            let (mut admitted, mut elapsed) = (0.0, 0);
            for gap in gaps {
                elapsed += gap;
                let now = start + Duration::from_millis(elapsed);
                match admit(&mut account, &quota, now) {
                    Ok(()) => admitted += 1.0,
                    Err(refusal) => {
                        // A retry after `retry_after` is admitted.
                        let later = now + refusal.retry_after + Duration::from_millis(1);
                        prop_assert!(account.clone().check_admission(&quota, later).is_ok());
                    }
                }
                let minutes = Duration::from_millis(elapsed).as_secs_f64() / 60.0;
                prop_assert!(admitted <= f64::from(per_minute) * (1.0 + minutes) + 1e-6);
            }
        }
    }
}
