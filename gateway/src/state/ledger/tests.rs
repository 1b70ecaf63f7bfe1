//! Facts about several accounts at once, and about what a restart remembers.

use super::*;
use crate::{config::Allowance, state::Disk};

fn holders(key: Quota, user: Quota) -> Vec<(String, Quota)> {
    vec![("key:k".to_owned(), key), ("user:u".to_owned(), user)]
}

fn budget(usd: f64) -> Quota {
    Quota { budget: Some(Allowance::of(usd, Period::Month)), ..Quota::UNLIMITED }
}

fn price(usd: f64) -> Need {
    Need { tokens: 0, usd }
}

#[test]
fn a_refusal_on_one_account_leaves_nothing_on_the_other() {
    let ledger = Arc::new(Ledger::default());
    let now = Instant::now();
    let key = Quota { concurrency: Some(2), requests_per_minute: Some(2), ..Quota::UNLIMITED };
    let user = Quota { concurrency: Some(1), ..Quota::UNLIMITED };
    let first = ledger.enter(holders(key, user), now).unwrap();
    for _ in 0..10 {
        assert_eq!(ledger.enter(holders(key, user), now).unwrap_err().limit, "concurrency");
    }
    let second = ledger.enter(holders(key, Quota::UNLIMITED), now);
    assert!(second.is_ok(), "a refused user costs the key no request");
    drop((first, second));
    assert_eq!(ledger.enter(holders(key, user), now).unwrap_err().limit, "requests_per_minute");
}

#[test]
fn money_is_set_aside_on_all_accounts_or_none() {
    let ledger = Arc::new(Ledger::default());
    let (now, date) = (Instant::now(), SystemTime::now());
    let mut ticket = ledger.enter(holders(budget(10.0), budget(1.0)), now).unwrap();
    assert_eq!(ticket.reserve(price(2.0), now, date).unwrap_err().limit, "budget");
    drop(ticket);
    let mut other = ledger.enter(holders(budget(10.0), Quota::UNLIMITED), now).unwrap();
    assert!(other.reserve(price(10.0), now, date).is_ok(), "nothing was left behind");
    other.used(price(9.5));
    drop(other);
    let mut last = ledger.enter(holders(budget(10.0), Quota::UNLIMITED), now).unwrap();
    assert!(last.reserve(price(1.0), now, date).is_err());
}

#[test]
fn the_accounts_are_bounded_and_the_oldest_idle_one_goes() {
    let ledger = Arc::new(Ledger::new(8, Arc::new(Memory::default())));
    let start = Instant::now();
    let quota = Quota { concurrency: Some(1), ..Quota::UNLIMITED };
    let enter = |name: &str, now| ledger.enter(vec![(name.to_owned(), quota)], now);
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
    let ledger = Arc::new(Ledger::new(4, Arc::new(Memory::default())));
    let (now, date) = (Instant::now(), SystemTime::now());
    let mut ticket = ledger.enter(vec![("user:ada".to_owned(), budget(1.0))], now).unwrap();
    ticket.reserve(price(0.9), now, date).unwrap();
    ticket.used(price(0.9));
    drop(ticket);
    let idle = Quota { concurrency: Some(1), ..Quota::UNLIMITED };
    for user in 0..100 {
        drop(ledger.enter(vec![(format!("user:{user}"), idle)], now + Duration::from_secs(1)).unwrap());
    }
    let mut again = ledger.enter(vec![("user:ada".to_owned(), budget(1.0))], now).unwrap();
    assert_eq!(again.reserve(price(0.2), now, date).unwrap_err().limit, "budget");
}

#[test]
fn a_full_store_makes_room_only_by_periods_that_are_over() {
    let ledger = Arc::new(Ledger::new(1, Arc::new(Memory::default())));
    let (now, date) = (Instant::now(), SystemTime::now());
    let reserve = |user: &str, now, date| {
        let mut ticket = ledger.enter(vec![(format!("user:{user}"), budget(1.0))], now).unwrap();
        let reserved = ticket.reserve(price(0.5), now, date);
        ticket.used(price(0.5));
        reserved
    };
    assert!(reserve("a", now, date).is_ok() && reserve("b", now, date).is_ok());
    assert_eq!(reserve("c", now, date).unwrap_err().limit, "accounts");
    assert!(reserve("a", now, date).is_ok(), "who has spent is still known");
    let (later, next) = (now + SWEEP * 2, date + Duration::from_secs(40 * 86_400));
    assert!(reserve("c", later, next).is_ok());
}

#[test]
fn a_restart_remembers_what_was_spent_and_what_was_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let (now, date) = (Instant::now(), SystemTime::now());
    let open = || Arc::new(Ledger::new(10, Arc::new(Disk::open(&path).unwrap())));
    let ledger = open();
    let mut ended = ledger.enter(holders(budget(1.0), Quota::UNLIMITED), now).unwrap();
    ended.reserve(price(0.6), now, date).unwrap();
    ended.used(price(0.5));
    drop((ended, ledger));
    let ledger = open();
    let mut ticket = ledger.enter(holders(budget(1.0), Quota::UNLIMITED), now).unwrap();
    assert_eq!(ticket.reserve(price(0.6), now, date).unwrap_err().limit, "budget");
    assert!(ticket.reserve(price(0.4), now, date).is_ok());
}

#[test]
fn a_day_and_a_month_both_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let both = Allowance { day: Some(1.0), month: Some(1.5), ..Allowance::default() };
    let quota = Quota { budget: Some(both), ..Quota::UNLIMITED };
    // The middle of a month, so that the next day is in the same one.
    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_789_560_000);
    let spend = |usd: f64, date: SystemTime| {
        let ledger = Arc::new(Ledger::new(10, Arc::new(Disk::open(&path).unwrap())));
        let mut ticket = ledger.enter(vec![("key:k".to_owned(), quota)], Instant::now()).unwrap();
        let reserved = ticket.reserve(price(usd), Instant::now(), date);
        if reserved.is_ok() {
            ticket.used(price(usd));
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
fn many_threads_together_do_not_overspend() {
    let ledger = Arc::new(Ledger::default());
    let (now, date) = (Instant::now(), SystemTime::now());
    let admitted = std::sync::atomic::AtomicU32::new(0);
    let spend = || {
        let mut ticket = ledger.enter(holders(budget(1.0), budget(1.0)), now).unwrap();
        if ticket.reserve(price(0.125), now, date).is_ok() {
            ticket.used(price(0.125));
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
