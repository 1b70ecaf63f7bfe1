//! The tables of the database.

use redb::{TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::learning::{error::StoreError, record::Declared};

/// Decision id → decision.
pub(super) const DECISIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("decisions");

/// User, time and id of each decision.
pub(super) const USER_DECISIONS: TableDefinition<'_, (&str, u64, &str), ()> = TableDefinition::new("user_decisions");

/// Time and id of each decision → user.
pub(super) const DECISION_TIMES: TableDefinition<'_, (u64, &str), &str> = TableDefinition::new("decision_times");

/// User, decision id and kind → signal.
pub(super) const SIGNALS: TableDefinition<'_, (&str, &str, u8), &[u8]> = TableDefinition::new("signals");

/// Time of arrival, user, decision id and kind of each signal.
pub(super) const SIGNAL_TIMES: TableDefinition<'_, (u64, &str, &str, u8), ()> = TableDefinition::new("signal_times");

/// User → what the user has declared, and the number of signals.
pub(super) const USERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("users");

/// User and idempotency key → time.
pub(super) const IDEMPOTENCY: TableDefinition<'_, (&str, &str), u64> = TableDefinition::new("idempotency");

/// Time, user and idempotency key.
pub(super) const IDEMPOTENCY_TIMES: TableDefinition<'_, (u64, &str, &str), ()> =
    TableDefinition::new("idempotency_times");

/// Whether an erasure has removed rows whose bytes may still be in the file, at the key `erasing`.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The row of a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct UserRow {
    pub(super) declared: Option<Declared>,
    pub(super) signals: u64,
}

/// Creates the tables that are absent: opening one for reading would fail.
pub(super) fn create_all(batch: &WriteTransaction) -> Result<(), StoreError> {
    batch.open_table(DECISIONS)?;
    batch.open_table(USER_DECISIONS)?;
    batch.open_table(DECISION_TIMES)?;
    batch.open_table(SIGNALS)?;
    batch.open_table(SIGNAL_TIMES)?;
    batch.open_table(USERS)?;
    batch.open_table(IDEMPOTENCY)?;
    batch.open_table(IDEMPOTENCY_TIMES)?;
    batch.open_table(META)?;
    Ok(())
}
