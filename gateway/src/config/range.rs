//! Numbers, durations and shares in the range that each key allows.

use std::{fmt::Display, time::Duration};

use super::{
    duration::HumanDuration,
    error::{Fault, Rejection},
    located::Located,
    size::ByteSize,
};

/// Returns a count of one or more: zero would refuse every request.
pub(super) fn count<T: Copy + Display + PartialOrd + From<u8>>(
    key: &'static str,
    written: &Located<T>,
) -> Result<T, Rejection> {
    let is_positive = written.value >= T::from(1);
    if is_positive { Ok(written.value) } else { Err(written.reject(value(key, "must be at least 1", written.value))) }
}

/// Returns a number of bytes, one or more.
pub(super) fn bytes(key: &'static str, written: &Located<ByteSize>) -> Result<usize, Rejection> {
    let ByteSize(bytes) = written.value;
    if bytes > 0 { Ok(bytes) } else { Err(written.reject(value(key, "must be at least 1", bytes))) }
}

/// Returns a duration that is longer than zero.
pub(super) fn duration(key: &'static str, written: &Located<HumanDuration>) -> Result<Duration, Rejection> {
    let HumanDuration(duration) = written.value;
    if duration.is_zero() {
        Err(written.reject(value(key, "must be longer than 0", written.value)))
    } else {
        Ok(duration)
    }
}

/// Returns a share, from 0 to 1.
pub(super) fn share<T: Copy + Display + PartialOrd + From<u8>>(
    key: &'static str,
    written: &Located<T>,
) -> Result<T, Rejection> {
    let is_share = written.value >= T::from(0) && written.value <= T::from(1);
    if is_share { Ok(written.value) } else { Err(written.reject(value(key, "must be from 0 to 1", written.value))) }
}

/// Returns an amount: finite, and zero or more.
pub(super) fn amount(key: &'static str, written: &Located<f32>) -> Result<f32, Rejection> {
    let is_amount = written.is_finite() && written.value >= 0.0;
    if is_amount { Ok(written.value) } else { Err(written.reject(value(key, "must be at least 0", written.value))) }
}

/// Returns the amount, if one is written.
pub(super) fn optional_amount(key: &'static str, written: Option<&Located<f32>>) -> Result<Option<f32>, Rejection> {
    written.map(|written| amount(key, written)).transpose()
}

/// Returns the fault of a value that is not what `expected` says.
pub(super) fn value(key: &'static str, expected: &'static str, found: impl Display) -> Fault {
    Fault::Value { key, expected, found: found.to_string() }
}
