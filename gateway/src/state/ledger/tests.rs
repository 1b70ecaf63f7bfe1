//! Facts about several accounts at once, and about what a restart remembers.

use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::{
    config::{Budget, Login, Node, Period, Topology},
    state::{Cost, FileStore, Spending, calendar, retention::SCAN_INTERVAL},
};

fn holders(key: Quota, user: Quota) -> Vec<(String, Quota)> {
    vec![("key:k".to_owned(), key), ("user:u".to_owned(), user)]
}

fn budget(usd: f64) -> Quota {
    Quota { budget: Some(Budget::of(usd, Period::Month)), ..Quota::UNLIMITED }
}

fn price(usd: f64) -> Cost {
    Cost { tokens: 0, usd }
}

/// Reserves where there is nobody to wait for.
fn reserve(lease: &mut QuotaLease, cost: Cost, now: Instant, date: SystemTime) -> Result<(), LimitExceeded> {
    lease.reserve(cost, now, date).now_or_never().expect("a ledger of its own waits for nothing")
}

#[test]
fn a_refusal_on_one_account_leaves_nothing_on_the_other() {
    let ledger = Arc::new(Ledger::default());
    let now = Instant::now();
    let key = Quota { concurrency: Some(2), requests_per_minute: Some(2), ..Quota::UNLIMITED };
    let user = Quota { concurrency: Some(1), ..Quota::UNLIMITED };
    let first = ledger.try_admit(holders(key, user), now).unwrap();
    for _ in 0..10 {
        assert_eq!(ledger.try_admit(holders(key, user), now).unwrap_err().limit, "concurrency");
    }
    let second = ledger.try_admit(holders(key, Quota::UNLIMITED), now);
    assert!(second.is_ok(), "a refused user costs the key no request");
    drop((first, second));
    assert_eq!(ledger.try_admit(holders(key, user), now).unwrap_err().limit, "requests_per_minute");
}

#[test]
fn money_is_set_aside_on_all_accounts_or_none() {
    let ledger = Arc::new(Ledger::default());
    let (now, date) = (Instant::now(), SystemTime::now());
    let mut lease = ledger.try_admit(holders(budget(10.0), budget(1.0)), now).unwrap();
    assert_eq!(reserve(&mut lease, price(2.0), now, date).unwrap_err().limit, "budget");
    drop(lease);
    let mut other = ledger.try_admit(holders(budget(10.0), Quota::UNLIMITED), now).unwrap();
    assert!(reserve(&mut other, price(10.0), now, date).is_ok(), "nothing was left behind");
    other.record_usage(price(9.5));
    drop(other);
    let mut last = ledger.try_admit(holders(budget(10.0), Quota::UNLIMITED), now).unwrap();
    assert!(reserve(&mut last, price(1.0), now, date).is_err());
}

#[test]
fn the_accounts_are_bounded_and_the_oldest_idle_one_goes() {
    let ledger = Arc::new(Ledger::new(8, Arc::new(MemoryStore::default())));
    let start = Instant::now();
    let quota = Quota { concurrency: Some(1), ..Quota::UNLIMITED };
    let enter = |name: &str, now| ledger.try_admit(vec![(name.to_owned(), quota)], now);
    let busy = enter("user:busy", start).unwrap();
    for user in 0..1_000 {
        let now = start + Duration::from_millis(user);
        drop(enter(&format!("user:{user}"), now).unwrap());
        assert!(ledger.len() <= 8);
    }
    assert_eq!(enter("user:busy", start).unwrap_err().limit, "concurrency", "a running request is never forgotten");
    drop(busy);
}

#[test]
fn an_account_that_made_room_has_not_forgotten_its_spending() {
    let ledger = Arc::new(Ledger::new(4, Arc::new(MemoryStore::default())));
    let (now, date) = (Instant::now(), SystemTime::now());
    let mut lease = ledger.try_admit(vec![("user:ada".to_owned(), budget(1.0))], now).unwrap();
    reserve(&mut lease, price(0.9), now, date).unwrap();
    lease.record_usage(price(0.9));
    drop(lease);
    let idle = Quota { concurrency: Some(1), ..Quota::UNLIMITED };
    for user in 0..100 {
        drop(ledger.try_admit(vec![(format!("user:{user}"), idle)], now + Duration::from_secs(1)).unwrap());
    }
    let mut again = ledger.try_admit(vec![("user:ada".to_owned(), budget(1.0))], now).unwrap();
    assert_eq!(reserve(&mut again, price(0.2), now, date).unwrap_err().limit, "budget");
}

#[test]
fn a_full_store_makes_room_only_by_periods_that_are_over() {
    let ledger = Arc::new(Ledger::new(1, Arc::new(MemoryStore::default())));
    let (now, date) = (Instant::now(), SystemTime::now());
    let spend = |user: &str, now, date| {
        let mut lease = ledger.try_admit(vec![(format!("user:{user}"), budget(1.0))], now).unwrap();
        let reserved = reserve(&mut lease, price(0.5), now, date);
        lease.record_usage(price(0.5));
        reserved
    };
    assert!(spend("a", now, date).is_ok() && spend("b", now, date).is_ok());
    assert_eq!(spend("c", now, date).unwrap_err().limit, "max_tracked_users");
    assert!(spend("a", now, date).is_ok(), "who has spent is still known");
    let (later, next) = (now + SCAN_INTERVAL * 2, date + Duration::from_secs(40 * 86_400));
    assert!(spend("c", later, next).is_ok());
}

/// Has `name` spend half a dollar of the budget `budget`; returns how long it is to wait when there is no room.
fn spend_half(ledger: &Ledger, name: &str, budget: Budget, date: SystemTime) -> Result<(), (&'static str, Duration)> {
    let quota = Quota { budget: Some(budget), ..Quota::UNLIMITED };
    let mut lease = ledger.try_admit(vec![(name.to_owned(), quota)], Instant::now()).unwrap();
    let reserved = reserve(&mut lease, price(0.5), Instant::now(), date);
    lease.record_usage(price(0.5));
    reserved.map_err(|refusal| (refusal.limit, refusal.retry_after))
}

#[test]
fn users_leave_keys_their_room() {
    let ledger = Ledger::new(2, Arc::new(MemoryStore::default()));
    let (month, date) = (Budget::of(1.0, Period::Month), SystemTime::now());
    let served = (0..100).filter(|user| spend_half(&ledger, &format!("user:{user}"), month, date).is_ok()).count();
    assert_eq!(served, 4, "two accounts with a day and a month each");
    for key in ["key:a", "key:b", "key:c"] {
        assert_eq!(spend_half(&ledger, key, month, date), Ok(()), "{key}");
    }
    assert!(spend_half(&ledger, "user:0", month, date).is_ok(), "who has spent is still known");
    assert!(spend_half(&ledger, "user:new", month, date).is_err());
}

#[test]
fn keys_of_periods_that_are_over_are_forgotten_too() {
    let memory = Arc::new(MemoryStore::default());
    let ledger = Ledger::new(2, Arc::<MemoryStore>::clone(&memory));
    let day = Duration::from_secs(86_400);
    for days in 1..21 {
        let date = SystemTime::UNIX_EPOCH + day * days;
        assert_eq!(spend_half(&ledger, &format!("key:{days}"), Budget::of(1.0, Period::Day), date), Ok(()));
    }
    assert!(memory.len() <= 4, "{}", memory.len());
}

#[test]
fn users_do_not_make_a_resting_key_begin_anew() {
    let ledger = Ledger::new(8, Arc::new(MemoryStore::default()));
    let (now, quota) = (Instant::now(), Quota { requests_per_minute: Some(1), ..Quota::UNLIMITED });
    let enter = |name: String, now| ledger.try_admit(vec![(name, quota)], now).map(drop);
    enter("key:k".to_owned(), now).unwrap();
    for user in 0..100 {
        enter(format!("user:{user}"), now + Duration::from_millis(user)).unwrap();
    }
    assert_eq!(enter("key:k".to_owned(), now + Duration::from_secs(1)).unwrap_err().limit, "requests_per_minute");
}

#[test]
fn who_finds_no_room_is_told_when_there_will_be() {
    let (day, month) = (Budget::of(9.0, Period::Day), Budget::of(9.0, Period::Month));
    // The middle of a month, so that the next day is in the same one.
    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_789_560_000);
    for (kept, per) in [(day, Period::Day), (month, Period::Month)] {
        let ledger = Ledger::new(1, Arc::new(MemoryStore::default()));
        for user in ["user:a", "user:b"] {
            assert_eq!(spend_half(&ledger, user, kept, noon), Ok(()));
        }
        let rest = calendar::period(per, noon).1;
        assert_eq!(spend_half(&ledger, "user:c", day, noon), Err(("max_tracked_users", rest)));
        assert_eq!(spend_half(&ledger, "user:c", month, noon), Err(("max_tracked_users", rest)));
        assert_eq!(spend_half(&ledger, "user:c", day, noon + rest), Ok(()), "and there is, at once");
    }
}

#[test]
fn a_restart_remembers_what_was_spent_and_what_was_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let (now, date) = (Instant::now(), SystemTime::now());
    let open = || Arc::new(Ledger::new(10, Arc::new(FileStore::open(&path).unwrap())));
    let ledger = open();
    let mut ended = ledger.try_admit(holders(budget(1.0), Quota::UNLIMITED), now).unwrap();
    reserve(&mut ended, price(0.6), now, date).unwrap();
    ended.record_usage(price(0.5));
    drop((ended, ledger));
    let ledger = open();
    let mut lease = ledger.try_admit(holders(budget(1.0), Quota::UNLIMITED), now).unwrap();
    assert_eq!(reserve(&mut lease, price(0.6), now, date).unwrap_err().limit, "budget");
    assert!(reserve(&mut lease, price(0.4), now, date).is_ok());
}

#[test]
fn a_day_and_a_month_both_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let both = Budget { day: Some(1.0), month: Some(1.5) };
    let quota = Quota { budget: Some(both), ..Quota::UNLIMITED };
    // The middle of a month, so that the next day is in the same one.
    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_789_560_000);
    let spend = |usd: f64, date: SystemTime| {
        let ledger = Arc::new(Ledger::new(10, Arc::new(FileStore::open(&path).unwrap())));
        let mut lease = ledger.try_admit(vec![("key:k".to_owned(), quota)], Instant::now()).unwrap();
        let reserved = reserve(&mut lease, price(usd), Instant::now(), date);
        if reserved.is_ok() {
            lease.record_usage(price(usd));
        }
        reserved.is_ok()
    };
    let tomorrow = noon + Duration::from_secs(86_400);
    assert!(spend(0.75, noon));
    assert!(!spend(0.5, noon), "the day has 0.25 left");
    assert!(spend(0.5, tomorrow), "a new day");
    assert!(!spend(0.375, tomorrow), "the month has 0.25 left");
    assert!(spend(0.25, tomorrow));
}

#[test]
fn what_is_set_aside_cannot_be_spent_twice() {
    let ledger = Arc::new(Ledger::default());
    let (now, date) = (Instant::now(), SystemTime::now());
    let enter = || ledger.try_admit(vec![("key:k".to_owned(), budget(1.0))], now).unwrap();
    let mut first = enter();
    reserve(&mut first, price(0.625), now, date).unwrap();
    let refusal = reserve(&mut enter(), price(0.625), now, date).unwrap_err();
    let rest = calendar::period(Period::Month, date).1;
    assert_eq!((refusal.limit, refusal.retry_after), ("budget", rest));
    first.record_usage(price(0.125));
    drop(first);
    assert!(reserve(&mut enter(), price(0.625), now, date).is_ok(), "what was not used is free again");
}

#[test]
fn who_is_over_a_day_and_a_month_waits_for_the_month() {
    let both = Budget { day: Some(1.0), month: Some(1.5) };
    let quota = Quota { budget: Some(both), ..Quota::UNLIMITED };
    let ledger = Arc::new(Ledger::default());
    // The middle of a month, so that the next day is in the same one.
    let (now, noon) = (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_789_560_000));
    let tomorrow = noon + Duration::from_secs(86_400);
    let spend = |usd, date| {
        let mut lease = ledger.try_admit(vec![("key:k".to_owned(), quota)], now).unwrap();
        let reserved = reserve(&mut lease, price(usd), now, date);
        lease.record_usage(price(usd));
        reserved.map_err(|refusal| refusal.retry_after)
    };
    let rest = |per, date| Err(calendar::period(per, date).1);
    assert_eq!(spend(0.875, noon), Ok(()));
    assert_eq!(spend(0.25, noon), rest(Period::Day, noon), "the day is spent");
    assert_eq!(spend(0.25, tomorrow), Ok(()), "the next day");
    assert_eq!(spend(0.75, tomorrow), rest(Period::Month, tomorrow), "the month is spent");
    assert_eq!(spend(5.0, tomorrow), rest(Period::Month, tomorrow), "both are");
}

/// A ledger that asks for its one account's dollar where nobody answers, and what it remembers.
fn left_alone() -> (Ledger, StoreSync, Arc<MemoryStore>, Vec<(String, Quota)>) {
    let shared = SharedStore {
        topology: Topology::Server,
        nodes: vec![Node { host: "nowhere".to_owned(), port: 1 }],
        tls: false,
        database: 0,
        login: Login::default(),
        ca: None,
        timeout: Duration::from_millis(20),
        prefix: "p".to_owned(),
    };
    let memory = Arc::new(MemoryStore::default());
    let store: Arc<dyn SpendingStore> = Arc::<MemoryStore>::clone(&memory);
    let (ledger, sync) = Ledger::with_shared_store(10, store, &shared).unwrap();
    let quota = Quota { budget: Some(Budget::of(1.0, Period::Day)), ..Quota::UNLIMITED };
    (ledger, sync, memory, vec![("key:k".to_owned(), quota)])
}

#[tokio::test]
async fn who_gets_no_answer_is_bounded_by_what_is_known_of_all() {
    let (ledger, _sync, memory, holders) = left_alone();
    let (now, date) = (Instant::now(), SystemTime::now());
    let period = calendar::period(Period::Day, date).0;
    memory.set_others("day/key:k", period, 0.5);
    let mut first = ledger.try_admit(holders.clone(), now).unwrap();
    first.reserve(price(0.375), now, date).await.unwrap();
    assert!(first.is_store_unavailable());
    let mut second = ledger.try_admit(holders.clone(), now).unwrap();
    let refusal = second.reserve(price(0.25), now, date).await.unwrap_err();
    assert_eq!(refusal.limit, "budget", "others have spent 0.5, this process 0.375");
    first.record_usage(price(0.125));
    drop(first);
    assert_eq!(memory.own("day/key:k"), Some(Spending { period, usd: 0.125 }));
}

#[tokio::test]
async fn without_a_budget_nobody_is_asked() {
    let (ledger, ..) = left_alone();
    let quota = Quota { concurrency: Some(1), ..Quota::UNLIMITED };
    let now = Instant::now();
    let mut lease = ledger.try_admit(vec![("user:u".to_owned(), quota)], now).unwrap();
    reserve(&mut lease, Cost { tokens: 1, usd: 5.0 }, now, SystemTime::now()).unwrap();
    assert!(!lease.is_store_unavailable() && !lease.is_persist_failed());
}

#[test]
fn many_threads_together_do_not_overspend() {
    let ledger = Arc::new(Ledger::default());
    let (now, date) = (Instant::now(), SystemTime::now());
    let admitted = std::sync::atomic::AtomicU32::new(0);
    let spend = || {
        let mut lease = ledger.try_admit(holders(budget(1.0), budget(1.0)), now).unwrap();
        if reserve(&mut lease, price(0.125), now, date).is_ok() {
            lease.record_usage(price(0.125));
            admitted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..200).for_each(|_| spend()));
        }
    });
    assert_eq!(admitted.into_inner(), 8, "eight eighths, no more and no fewer");
}

proptest! {
    /// Estimates that are never too low never overspend, in whatever order requests end.
    #[test]
    fn a_budget_is_never_overspent(
        usd in 0.1f64..10.0,
        requests in prop::collection::vec((0.0f64..3.0, 0.0f64..=1.0, any::<bool>()), 1..100),
    ) {
        let ledger = Arc::new(Ledger::default());
        let (now, date) = (Instant::now(), SystemTime::now());
        let mut running = Vec::new();
        for (estimate, share, ends_one) in requests {
            let mut lease = ledger.try_admit(vec![("key:k".to_owned(), budget(usd))], now).unwrap();
            if reserve(&mut lease, price(estimate), now, date).is_ok() {
                lease.record_usage(price(estimate * share));
                running.push(lease);
            }
            if ends_one {
                running.pop();
            }
            let spent = ledger.accounts.spending.own("month/key:k").map_or(0.0, |spending| spending.usd);
            prop_assert!(spent <= usd + 1e-9);
        }
    }
}
