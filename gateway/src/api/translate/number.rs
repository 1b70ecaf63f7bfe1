//! Numbers as clients write them: `100`, `100.0` or `"100"`.

use serde_json::{Number, Value};

use crate::api::Invalid;

/// Returns the number from 0 that `value` stands for, if it is a whole one.
pub(super) fn whole(value: &Value) -> Option<u64> {
    if let Some(number) = value.as_u64() {
        return Some(number);
    }
    let number = finite(value)?;
    let is_whole = number >= 0.0 && number.fract() == 0.0 && number < 9e15;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "invariant: whole, from 0 and below 2^53"
    )]
    is_whole.then_some(number as u64)
}

/// Returns the finite number that `value` stands for.
pub(super) fn finite(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.filter(|number| number.is_finite())
}

/// Returns `value` as a JSON number, unchanged if it is one.
///
/// # Errors
///
/// Refuses the field `name` if its value is not a finite number.
pub(super) fn json(name: &'static str, value: &Value) -> Result<Value, Invalid> {
    if value.is_number() {
        return Ok(value.clone());
    }
    let number = finite(value).and_then(Number::from_f64);
    number.map(Value::Number).ok_or_else(|| Invalid::new(name, format!("`{name}` must be a number")))
}

/// Returns the first of the fields `names` of `of` that is set, as a whole number.
///
/// # Errors
///
/// Refuses a field whose value is not a whole number from 1.
pub(super) fn limit(of: &Value, names: &[&'static str]) -> Result<Option<u64>, Invalid> {
    let set = names.iter().find_map(|name| of.get(*name).filter(|value| !value.is_null()).map(|value| (*name, value)));
    let Some((name, value)) = set else {
        return Ok(None);
    };
    let number = whole(value).filter(|number| *number > 0);
    number.map(Some).ok_or_else(|| Invalid::new(name, format!("`{name}` must be a whole number of at least 1")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn every_spelling_of_a_whole_number_is_read(number in 0_u64..1 << 40) {
            for written in [json!(number), json!(format!("{number}")), json!(format!(" {number}.0 "))] {
                prop_assert_eq!(whole(&written), Some(number));
            }
            let text: Value = serde_json::from_str(&format!("{number}.0")).unwrap();
            prop_assert_eq!(whole(&text), Some(number));
        }
    }

    #[test]
    fn what_is_no_whole_number_is_refused_with_its_name() {
        for odd in [json!(-1), json!(1.5), json!("many"), json!([1]), json!(0)] {
            let refused = limit(&json!({"max_tokens": odd}), &["max_completion_tokens", "max_tokens"]).unwrap_err();
            assert_eq!(refused.param, "max_tokens");
        }
        assert_eq!(limit(&json!({"max_tokens": null}), &["max_tokens"]), Ok(None));
    }
}
