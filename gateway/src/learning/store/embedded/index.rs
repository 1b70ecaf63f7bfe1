//! The row of a user: what the user has declared, and how many signals there are.

use redb::WriteTransaction;

use super::{
    read,
    table::{USERS, UserRow},
};
use crate::learning::{codec, error::StoreError, record::Declared};

/// Returns the row of `user`, which is empty for one without.
pub(super) fn user(batch: &WriteTransaction, user: &str) -> Result<UserRow, StoreError> {
    read::user(&batch.open_table(USERS)?, user)
}

/// Replaces what `user` has declared.
pub(super) fn declare(batch: &WriteTransaction, name: &str, declared: Option<Declared>) -> Result<(), StoreError> {
    let row = UserRow { declared, ..user(batch, name)? };
    set(batch, name, row)
}

/// Changes the number of the user's signals; returns the new one.
pub(super) fn count(batch: &WriteTransaction, name: &str, change: i64) -> Result<usize, StoreError> {
    let mut row = user(batch, name)?;
    row.signals = row.signals.saturating_add_signed(change);
    set(batch, name, row)?;
    Ok(usize::try_from(row.signals).unwrap_or(usize::MAX))
}

/// Writes the row of `user`; one that says nothing is removed.
fn set(batch: &WriteTransaction, user: &str, row: UserRow) -> Result<(), StoreError> {
    let mut users = batch.open_table(USERS)?;
    if row == UserRow::default() {
        users.remove(user)?;
    } else {
        users.insert(user, codec::encode(&row).as_slice())?;
    }
    Ok(())
}
