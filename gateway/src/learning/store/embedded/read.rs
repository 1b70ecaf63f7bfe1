//! Reads rows, inside a batch or from a snapshot.

use redb::{ReadTransaction, ReadableTable};

use super::table::{META, UserRow};
use crate::learning::{
    codec,
    error::StoreError,
    record::{Decision, Interaction, Page, Signal},
};

/// Where a page of interactions starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct From<'a> {
    /// The earliest arrival.
    pub(super) since: u64,
    /// The cursor of the page before.
    pub(super) after: Option<&'a str>,
}

/// The key of an interaction.
type Cursor = (u64, String, String, u8);

/// Returns whether an erasure has not been finished.
pub(super) fn is_erasing(snapshot: &ReadTransaction) -> Result<bool, StoreError> {
    Ok(snapshot.open_table(META)?.get("erasing")?.is_some())
}

/// Returns a decision.
pub(super) fn decision(
    decisions: &impl ReadableTable<&'static str, &'static [u8]>,
    id: &str,
) -> Result<Option<Decision>, StoreError> {
    Ok(decisions.get(id)?.and_then(|bytes| readable("decision", bytes.value())))
}

/// Returns the decisions of `user`, oldest first.
pub(super) fn decisions(
    by_user: &impl ReadableTable<(&'static str, u64, &'static str), ()>,
    decisions: &impl ReadableTable<&'static str, &'static [u8]>,
    user: &str,
) -> Result<Vec<Decision>, StoreError> {
    let mut found = Vec::new();
    for row in by_user.range((user, 0, "")..)? {
        let (key, _) = row?;
        let (owner, _, id) = key.value();
        if owner != user {
            break;
        }
        found.extend(decision(decisions, id)?);
    }
    Ok(found)
}

/// Returns the signals of `user`, oldest first.
pub(super) fn signals(
    signals: &impl ReadableTable<(&'static str, &'static str, u8), &'static [u8]>,
    user: &str,
) -> Result<Vec<Signal>, StoreError> {
    let mut found: Vec<Signal> = Vec::new();
    for row in signals.range((user, "", 0)..)? {
        let (key, bytes) = row?;
        if key.value().0 != user {
            break;
        }
        found.extend(readable::<Signal>("signal", bytes.value()));
    }
    found.sort_by_key(|signal| (signal.at, signal.received));
    Ok(found)
}

/// Returns the row of `user`.
pub(super) fn user(users: &impl ReadableTable<&'static str, &'static [u8]>, user: &str) -> Result<UserRow, StoreError> {
    Ok(users.get(user)?.and_then(|bytes| readable("user", bytes.value())).unwrap_or_default())
}

/// Returns a page of users.
pub(super) fn users(
    users: &impl ReadableTable<&'static str, &'static [u8]>,
    after: Option<&str>,
    most: usize,
) -> Result<Page<String>, StoreError> {
    let mut page = Page { rows: Vec::new(), next: None };
    for row in users.range(after.unwrap_or_default()..)? {
        let (name, _) = row?;
        if Some(name.value()) == after {
            continue;
        }
        if page.rows.len() == most {
            page.next = page.rows.last().cloned();
            break;
        }
        page.rows.push(name.value().to_owned());
    }
    Ok(page)
}

/// Returns a page of interactions in the order of their arrival.
pub(super) fn interactions(
    times: &impl ReadableTable<(u64, &'static str, &'static str, u8), ()>,
    signals: &impl ReadableTable<(&'static str, &'static str, u8), &'static [u8]>,
    from: From<'_>,
    most: usize,
) -> Result<Page<Interaction>, StoreError> {
    let after: Option<Cursor> =
        from.after.and_then(|cursor| const_hex::decode(cursor).ok()).and_then(|bytes| codec::decode(&bytes));
    let first = match &after {
        Some((time, user, decision, kind)) => (*time, user.as_str(), decision.as_str(), *kind),
        None => (from.since, "", "", 0),
    };
    let mut page = Page { rows: Vec::new(), next: None };
    let mut last = None;
    for row in times.range(first..)? {
        let (key, _) = row?;
        let (time, user, decision, kind) = key.value();
        if after.is_some() && (time, user, decision, kind) == first {
            continue;
        }
        if page.rows.len() == most {
            page.next = last.map(|cursor: Cursor| const_hex::encode(codec::encode(&cursor)));
            break;
        }
        let bytes = signals.get((user, decision, kind))?;
        if let Some(signal) = bytes.and_then(|bytes| readable("signal", bytes.value())) {
            page.rows.push(Interaction { user: user.to_owned(), signal });
        }
        last = Some((time, user.to_owned(), decision.to_owned(), kind));
    }
    Ok(page)
}

/// Returns the record in `bytes`; one that cannot be read is left out, and said so.
pub(super) fn readable<T: serde::de::DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Option<T> {
    let record = codec::decode(bytes);
    if record.is_none() {
        tracing::warn!(what, "a record of another version or a damaged one is left out");
    }
    record
}
