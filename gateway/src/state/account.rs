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
        if let Some(per_minute) = quota.requests_per_minute {
            self.requests.refill(per_minute, now);
            if let Some(wait) = self.requests.wait(1.0, per_minute) {
                return Err(Refusal { limit: "requests_per_minute", wait });
            }
        }
        Ok(())
    }

    /// Admits a request: one more in flight, one less in this minute.
    pub(super) fn enter(&mut self) {
        self.requests.level -= 1.0;
        self.in_flight += 1;
    }

    /// Returns why `need` cannot be set aside, if so; `rest` is how long a period still lasts.
    pub(super) fn may_reserve(
        &mut self,
        quota: &Quota,
        need: Need,
        now: Instant,
        rest: impl Fn(Period) -> Duration,
    ) -> Result<(), Refusal> {
        if let Some(per_minute) = quota.tokens_per_minute {
            self.tokens.refill(per_minute, now);
            if let Some(wait) = self.tokens.wait(count(need.tokens), per_minute) {
                return Err(Refusal { limit: "tokens_per_minute", wait });
            }
        }
        let is_over = |per: &Period| {
            let most = quota.budget.and_then(|budget| budget.most(*per));
            most.is_some_and(|most| self.spending(*per).usd + need.usd > most)
        };
        // Who is over both waits for the longer one.
        match Period::ALL.into_iter().filter(is_over).map(rest).max() {
            Some(wait) => Err(Refusal { limit: "budget", wait }),
            None => Ok(()),
        }
    }

    /// Sets `need` aside until the request is settled.
    pub(super) fn reserve(&mut self, need: Need) {
        self.tokens.level -= count(need.tokens);
        for purse in self.purses() {
            purse.reserved += need.usd;
        }
    }

    /// Begins the day or month with this number, of which `spent` is gone already.
    pub(super) fn begin(&mut self, per: Period, period: u64, spent: f64) {
        let purse = match per {
            Period::Day => &mut self.day,
            Period::Month => &mut self.month,
        };
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

    fn purses(&mut self) -> [&mut Purse; 2] {
        [&mut self.day, &mut self.month]
    }

    /// Ends a request: what was set aside is replaced by what was used.
    pub(super) fn settle(&mut self, reserved: Need, used: Need) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.tokens.level += count(reserved.tokens) - count(used.tokens);
        for purse in self.purses() {
            purse.reserved = (purse.reserved - reserved.usd).max(0.0);
            purse.spent += used.usd;
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
    use crate::config::Allowance;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn enter(account: &mut Account, quota: &Quota, now: Instant) -> Result<(), Refusal> {
        account.may_enter(quota, now)?;
        account.enter();
        Ok(())
    }

    fn reserve(account: &mut Account, quota: &Quota, tokens: u64, usd: f64) -> Result<(), Refusal> {
        let need = Need { tokens, usd };
        account.may_reserve(quota, need, account.touched, |per| if per == Period::Day { DAY } else { 30 * DAY })?;
        account.reserve(need);
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
        reserve(&mut account, &quota, 90, 0.0).unwrap();
        assert_eq!(reserve(&mut account, &quota, 20, 0.0).unwrap_err().limit, "tokens_per_minute");
        account.settle(Need { tokens: 90, usd: 0.0 }, Need { tokens: 10, usd: 0.0 });
        assert!(reserve(&mut account, &quota, 20, 0.0).is_ok());
    }

    #[test]
    fn a_request_larger_than_the_limit_passes_when_the_minute_is_unused() {
        let quota = Quota { tokens_per_minute: Some(100), ..Quota::UNLIMITED };
        let mut account = Account::new(&quota, Instant::now());
        assert!(reserve(&mut account, &quota, 1_000, 0.0).is_ok());
        assert!(reserve(&mut account, &quota, 1, 0.0).is_err());
    }

    #[test]
    fn what_is_set_aside_cannot_be_spent_twice() {
        let quota = Quota { budget: Some(Allowance::of(1.0, Period::Day)), ..Quota::UNLIMITED };
        let mut account = Account::new(&quota, Instant::now());
        reserve(&mut account, &quota, 0, 0.6).unwrap();
        let refusal = reserve(&mut account, &quota, 0, 0.6).unwrap_err();
        assert_eq!((refusal.limit, refusal.wait), ("budget", DAY));
        account.settle(Need { tokens: 0, usd: 0.6 }, Need { tokens: 0, usd: 0.1 });
        assert!(reserve(&mut account, &quota, 0, 0.6).is_ok());
        account.settle(Need { tokens: 0, usd: 0.6 }, Need { tokens: 0, usd: 0.6 });
        assert!(reserve(&mut account, &quota, 0, 0.6).is_err());
        account.begin(Period::Day, 1, 0.0);
        assert!(reserve(&mut account, &quota, 0, 0.6).is_ok(), "a new period is a new budget");
    }

    #[test]
    fn a_day_and_a_month_are_kept_at_the_same_time() {
        let budget = Allowance { day: Some(1.0), month: Some(1.5), ..Allowance::default() };
        let quota = Quota { budget: Some(budget), ..Quota::UNLIMITED };
        let mut account = Account::new(&quota, Instant::now());
        let need = Need { tokens: 0, usd: 0.9 };
        reserve(&mut account, &quota, 0, 0.9).unwrap();
        account.settle(need, need);
        assert_eq!(reserve(&mut account, &quota, 0, 0.2).unwrap_err().wait, DAY, "the day is spent");
        account.begin(Period::Day, 2, 0.0);
        assert!(reserve(&mut account, &quota, 0, 0.2).is_ok(), "the next day");
        assert_eq!(reserve(&mut account, &quota, 0, 0.7).unwrap_err().wait, 30 * DAY, "the month is spent");
    }

    #[test]
    fn concurrency_is_given_back() {
        let quota = Quota { concurrency: Some(1), ..Quota::UNLIMITED };
        let now = Instant::now();
        let mut account = Account::new(&quota, now);
        enter(&mut account, &quota, now).unwrap();
        assert_eq!(enter(&mut account, &quota, now).unwrap_err().limit, "concurrency");
        account.settle(Need::default(), Need::default());
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

        /// Estimates that are never too low never overspend, in whatever order requests end.
        #[test]
        fn a_budget_is_never_overspent(
            usd in 0.1f64..10.0,
            requests in prop::collection::vec((0.0f64..3.0, 0.0f64..=1.0, any::<bool>()), 1..100),
        ) {
            let quota = Quota { budget: Some(Allowance::of(usd, Period::Month)), ..Quota::UNLIMITED };
            let mut account = Account::new(&quota, Instant::now());
            let mut running = Vec::new();
            for (estimate, share, ends_one) in requests {
                if reserve(&mut account, &quota, 0, estimate).is_ok() {
                    running.push((estimate, estimate * share));
                }
                if ends_one && let Some((estimate, real)) = running.pop() {
                    account.settle(Need { tokens: 0, usd: estimate }, Need { tokens: 0, usd: real });
                }
                prop_assert!(account.spending(Period::Month).usd <= usd + 1e-9);
            }
        }
    }
}
