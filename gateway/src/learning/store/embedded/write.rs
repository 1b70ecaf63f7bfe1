//! Writes rows and their indexes inside a batch.

use redb::{
    Database, Key, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, Value, WriteTransaction,
};

use super::{
    index,
    read::{self, readable},
    table::{
        self, DECISION_TIMES, DECISIONS, IDEMPOTENCY, IDEMPOTENCY_TIMES, META, SIGNAL_TIMES, SIGNALS, USER_DECISIONS,
        USERS,
    },
};
use crate::learning::{
    clock, codec,
    error::StoreError,
    record::{Decision, Signal},
    store::{Bounds, Put, Removed, kind_number},
};

/// Most rows of each table that one expiry removes, so that signals never wait for long.
const EXPIRED_AT_ONCE: usize = 2_000;

/// Keeps a decision, and removes the oldest ones above the bounds.
pub(super) fn put_decision(batch: &WriteTransaction, decision: &Decision, bounds: &Bounds) -> Result<(), StoreError> {
    let Decision { id, user, time, .. } = decision;
    let oldest = {
        let mut by_user = batch.open_table(USER_DECISIONS)?;
        by_user.insert((user.as_str(), *time, id.as_str()), ())?;
        batch.open_table(DECISIONS)?.insert(id.as_str(), codec::encode(decision).as_slice())?;
        batch.open_table(DECISION_TIMES)?.insert((*time, id.as_str()), user.as_str())?;
        oldest_of(&by_user, user, bounds.max_user_decisions)?
    };
    if let Some((time, id)) = oldest {
        remove_decision(batch, user, time, &id)?;
    }
    let oldest = {
        let times = batch.open_table(DECISION_TIMES)?;
        let is_full = times.len()? > u64::try_from(bounds.max_decisions).unwrap_or(u64::MAX);
        let first = if is_full { times.first()? } else { None };
        first.map(|(key, user)| (key.value().0, key.value().1.to_owned(), user.value().to_owned()))
    };
    match oldest {
        Some((time, id, user)) => remove_decision(batch, &user, time, &id),
        None => Ok(()),
    }
}

/// Returns the user's oldest decision if there are more than `most`.
fn oldest_of(
    by_user: &impl ReadableTable<(&'static str, u64, &'static str), ()>,
    user: &str,
    most: usize,
) -> Result<Option<(u64, String)>, StoreError> {
    let mut oldest = None;
    for (count, row) in by_user.range((user, 0, "")..)?.enumerate() {
        let (key, _) = row?;
        let (owner, time, id) = key.value();
        if owner != user {
            return Ok(None);
        }
        oldest.get_or_insert_with(|| (time, id.to_owned()));
        if count >= most {
            return Ok(oldest);
        }
    }
    Ok(None)
}

fn remove_decision(batch: &WriteTransaction, user: &str, time: u64, id: &str) -> Result<(), StoreError> {
    batch.open_table(DECISIONS)?.remove(id)?;
    batch.open_table(USER_DECISIONS)?.remove((user, time, id))?;
    batch.open_table(DECISION_TIMES)?.remove((time, id))?;
    Ok(())
}

/// Keeps a signal in place of an earlier one of its kind.
pub(super) fn put_signal(
    batch: &WriteTransaction,
    user: &str,
    signal: &Signal,
    idempotency: Option<&str>,
    bounds: &Bounds,
) -> Result<Put, StoreError> {
    if let Some(key) = idempotency {
        let mut keys = batch.open_table(IDEMPOTENCY)?;
        let is_known = keys.get((user, key))?.is_some();
        if is_known {
            return Ok(Put { is_duplicate: true, signals: index::count(batch, user, 0)? });
        }
        keys.insert((user, key), signal.received)?;
        batch.open_table(IDEMPOTENCY_TIMES)?.insert((signal.received, user, key), ())?;
    }
    let (decision, kind) = (signal.decision.as_str(), kind_number(signal.kind()));
    let earlier: Option<Signal> = {
        let signals = batch.open_table(SIGNALS)?;
        let bytes = signals.get((user, decision, kind))?;
        bytes.and_then(|bytes| readable("signal", bytes.value()))
    };
    if let Some(earlier) = &earlier {
        if earlier.said == signal.said {
            return Ok(Put { is_duplicate: true, signals: index::count(batch, user, 0)? });
        }
        batch.open_table(SIGNAL_TIMES)?.remove((earlier.received, user, decision, kind))?;
    }
    batch.open_table(SIGNALS)?.insert((user, decision, kind), codec::encode(signal).as_slice())?;
    batch.open_table(SIGNAL_TIMES)?.insert((signal.received, user, decision, kind), ())?;
    let signals = index::count(batch, user, i64::from(earlier.is_none()))?;
    if signals <= bounds.max_user_signals {
        return Ok(Put { is_duplicate: false, signals });
    }
    let all = read::signals(&batch.open_table(SIGNALS)?, user)?;
    if let Some(oldest) = all.iter().min_by_key(|signal| signal.received) {
        remove_signal(batch, user, oldest)?;
    }
    Ok(Put { is_duplicate: false, signals: bounds.max_user_signals })
}

fn remove_signal(batch: &WriteTransaction, user: &str, signal: &Signal) -> Result<(), StoreError> {
    let (decision, kind) = (signal.decision.as_str(), kind_number(signal.kind()));
    batch.open_table(SIGNALS)?.remove((user, decision, kind))?;
    batch.open_table(SIGNAL_TIMES)?.remove((signal.received, user, decision, kind))?;
    index::count(batch, user, -1)?;
    Ok(())
}

/// Removes the user's signals for a decision.
pub(super) fn remove_signals(batch: &WriteTransaction, user: &str, decision: &str) -> Result<Removed, StoreError> {
    let mut found: Vec<Signal> = Vec::new();
    for row in batch.open_table(SIGNALS)?.range((user, decision, 0)..=(user, decision, u8::MAX))? {
        found.extend(readable::<Signal>("signal", row?.1.value()));
    }
    found.iter().try_for_each(|signal| remove_signal(batch, user, signal))?;
    Ok(Removed { signals: found.len(), decisions: 0 })
}

/// Removes every row of `user`, and notes that their bytes are still in the file.
pub(super) fn erase(batch: &WriteTransaction, user: &str) -> Result<Removed, StoreError> {
    let mut removed = Removed::default();
    // Read before the loop, in which the table is opened again.
    let signals = read::signals(&batch.open_table(SIGNALS)?, user)?;
    for signal in &signals {
        remove_signal(batch, user, signal)?;
    }
    removed.signals = signals.len();
    let mut decisions: Vec<(u64, String)> = Vec::new();
    for row in batch.open_table(USER_DECISIONS)?.range((user, 0, "")..)? {
        let (key, _) = row?;
        let (owner, time, id) = key.value();
        if owner != user {
            break;
        }
        decisions.push((time, id.to_owned()));
    }
    for (time, id) in &decisions {
        remove_decision(batch, user, *time, id)?;
    }
    removed.decisions = decisions.len();
    let mut keys: Vec<(String, u64)> = Vec::new();
    for row in batch.open_table(IDEMPOTENCY)?.range((user, "")..)? {
        let (key, time) = row?;
        if key.value().0 != user {
            break;
        }
        keys.push((key.value().1.to_owned(), time.value()));
    }
    for (key, time) in &keys {
        batch.open_table(IDEMPOTENCY)?.remove((user, key.as_str()))?;
        batch.open_table(IDEMPOTENCY_TIMES)?.remove((*time, user, key.as_str()))?;
    }
    batch.open_table(USERS)?.remove(user)?;
    batch.open_table(META)?.insert("erasing", 1)?;
    Ok(removed)
}

/// Removes what is older than the bounds at `now`, up to a limit.
pub(super) fn expire(batch: &WriteTransaction, now: u64, bounds: &Bounds) -> Result<Removed, StoreError> {
    let window = now.saturating_sub(clock::millis(bounds.window));
    let retention = now.saturating_sub(clock::millis(bounds.retention));
    let mut decisions: Vec<(u64, String, String)> = Vec::new();
    for row in batch.open_table(DECISION_TIMES)?.range(..(window, ""))?.take(EXPIRED_AT_ONCE) {
        let (key, user) = row?;
        decisions.push((key.value().0, key.value().1.to_owned(), user.value().to_owned()));
    }
    for (time, id, user) in &decisions {
        remove_decision(batch, user, *time, id)?;
    }
    let mut signals: Vec<(u64, String, String, u8)> = Vec::new();
    for row in batch.open_table(SIGNAL_TIMES)?.range(..(retention, "", "", 0))?.take(EXPIRED_AT_ONCE) {
        let (key, _) = row?;
        let (time, user, decision, kind) = key.value();
        signals.push((time, user.to_owned(), decision.to_owned(), kind));
    }
    for (time, user, decision, kind) in &signals {
        let (user, decision) = (user.as_str(), decision.as_str());
        batch.open_table(SIGNAL_TIMES)?.remove((*time, user, decision, *kind))?;
        let had_row = batch.open_table(SIGNALS)?.remove((user, decision, *kind))?.is_some();
        index::count(batch, user, -i64::from(had_row))?;
    }
    expire_keys(batch, window)?;
    Ok(Removed { signals: signals.len(), decisions: decisions.len() })
}

fn expire_keys(batch: &WriteTransaction, oldest: u64) -> Result<(), StoreError> {
    let mut keys: Vec<(u64, String, String)> = Vec::new();
    for row in batch.open_table(IDEMPOTENCY_TIMES)?.range(..(oldest, "", ""))?.take(EXPIRED_AT_ONCE) {
        let (key, _) = row?;
        let (time, user, key) = key.value();
        keys.push((time, user.to_owned(), key.to_owned()));
    }
    for (time, user, key) in &keys {
        batch.open_table(IDEMPOTENCY_TIMES)?.remove((*time, user.as_str(), key.as_str()))?;
        batch.open_table(IDEMPOTENCY)?.remove((user.as_str(), key.as_str()))?;
    }
    Ok(())
}

/// Copies every row but the note of an erasure into `fresh`.
pub(super) fn copy(snapshot: &ReadTransaction, fresh: &Database) -> Result<(), StoreError> {
    let batch = fresh.begin_write()?;
    table::create_all(&batch)?;
    copy_table(snapshot, &batch, DECISIONS)?;
    copy_table(snapshot, &batch, USER_DECISIONS)?;
    copy_table(snapshot, &batch, DECISION_TIMES)?;
    copy_table(snapshot, &batch, SIGNALS)?;
    copy_table(snapshot, &batch, SIGNAL_TIMES)?;
    copy_table(snapshot, &batch, USERS)?;
    copy_table(snapshot, &batch, IDEMPOTENCY)?;
    copy_table(snapshot, &batch, IDEMPOTENCY_TIMES)?;
    batch.commit()?;
    Ok(())
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    snapshot: &ReadTransaction,
    batch: &WriteTransaction,
    table: TableDefinition<'static, K, V>,
) -> Result<(), StoreError> {
    let mut to = batch.open_table(table)?;
    for row in snapshot.open_table(table)?.iter()? {
        let (key, value) = row?;
        to.insert(key.value(), value.value())?;
    }
    Ok(())
}
