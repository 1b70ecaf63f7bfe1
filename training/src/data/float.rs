//! Parses numpy arrays printed as text (`[[ 0.1 -2.0e-02 …]]`), the bulk of a PersonaRoute-Bench file.

/// Appends the numbers of an array to `values`; the error is what stands where a number was expected.
pub fn array(text: &[u8], values: &mut Vec<f32>) -> Result<(), String> {
    let mut rest = text;
    loop {
        let skipped = rest.iter().take_while(|byte| is_separator(**byte)).count();
        rest = rest.get(skipped..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        let (value, length) = number(rest).ok_or_else(|| token(rest))?;
        values.push(value);
        rest = rest.get(length..).unwrap_or_default();
    }
}

/// Parses the number at the beginning of `text` and returns it with its length; nothing where a separator does not follow.
#[expect(clippy::cast_possible_truncation, reason = "invariant: embeddings are single precision")]
fn number(text: &[u8]) -> Option<(f32, usize)> {
    // Read as numpy does: a double first, so that the last bit is the same.
    let (value, length): (f64, usize) = fast_float2::parse_partial(text).ok()?;
    let is_whole = text.get(length).is_none_or(|&byte| is_separator(byte));
    let value = value as f32;
    (is_whole && value.is_finite()).then_some((value, length))
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b'[' | b']' | b',')
}

/// Returns what stands at the beginning of `text` up to the next separator, shortened.
fn token(text: &[u8]) -> String {
    let bytes: Vec<u8> = text.iter().copied().take_while(|&byte| !is_separator(byte)).take(60).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<Vec<f32>, String> {
        let mut values = Vec::new();
        array(text.as_bytes(), &mut values).map(|()| values)
    }

    #[test]
    fn numpy_text_with_line_breaks_is_read() {
        let values = parsed("[[ 2.38932446e-02 -6.87670242e-03\n  3.08390427e-02  1.  -0.0000000e+00 5e3]]").unwrap();
        assert_eq!(values, [0.023_893_245, -0.006_876_702_4, 0.030_839_043, 1.0, 0.0, 5000.0]);
    }

    #[test]
    fn what_is_no_number_is_named() {
        assert_eq!(parsed("[0.1 ... 0.2]"), Err("...".to_owned()));
        assert_eq!(parsed("[0.1 nan]"), Err("nan".to_owned()));
        assert_eq!(parsed("[0.1 1.2.3]"), Err("1.2.3".to_owned()));
        assert_eq!(parsed("[0.1 1e]"), Err("1e".to_owned()));
        assert_eq!(parsed("[0.1 -]"), Err("-".to_owned()));
        assert_eq!(parsed("[1e999]"), Err("1e999".to_owned()));
    }

    proptest! {
        #[test]
        fn every_printed_float_is_read_back(values in proptest::collection::vec(any::<f32>().prop_filter("finite", |v| v.is_finite()), 1..50)) {
            let plain = values.iter().map(|v| format!("{v}")).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(parsed(&format!("[{plain}]")).unwrap(), &values[..]);
            let scientific = values.iter().map(|v| format!("{v:e}")).collect::<Vec<_>>().join("\n ");
            prop_assert_eq!(parsed(&format!("[[{scientific}]]")).unwrap(), values);
        }
    }
}
