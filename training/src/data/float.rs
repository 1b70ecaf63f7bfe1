//! Parses numpy arrays printed as text (`[[ 0.1 -2.0e-02 …]]`), the bulk of a PersonaRoute-Bench file.
//!
//! Numbers of at most 15 digits and a small exponent are exact in one multiplication or division of doubles (Clinger);
//! everything else goes through the standard parser.

/// Powers of ten that a double holds exactly.
const EXACT: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Appends the numbers of an array to `values`; the error is what stands where a number was expected.
pub fn array(text: &[u8], values: &mut Vec<f32>) -> Result<(), String> {
    let mut rest = text;
    loop {
        let skipped = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b'[' | b']' | b','));
        rest = rest.get(skipped.count()..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        let (value, length) = number(rest)?;
        values.push(value);
        rest = rest.get(length..).unwrap_or_default();
    }
}

/// Parses the number at the beginning of `text` and returns it with its length.
#[expect(clippy::cast_possible_truncation, reason = "invariant: embeddings are single precision")]
fn number(text: &[u8]) -> Result<(f32, usize), String> {
    let (sign, mut at) = match text.first() {
        Some(b'-') => (-1.0, 1),
        Some(b'+') => (1.0, 1),
        Some(_) | None => (1.0, 0),
    };
    let (mut mantissa, mut digits, mut scale) = (0_u64, 0_u32, 0_i32);
    let mut point = false;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                digits += u32::from(mantissa > 0);
                scale -= i32::from(point);
            }
            b'.' if !point => point = true,
            _ => break,
        }
        at += 1;
    }
    let (power, length) = exponent(text, at);
    let token = || text.iter().take_while(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b']' | b','));
    if length != token().count() || at == 0 {
        return Err(lossy(token().copied()));
    }
    let scale = scale + power;
    let exact = usize::try_from(scale.unsigned_abs()).ok().and_then(|scale| EXACT.get(scale));
    match exact {
        Some(power) if digits <= 15 && at > usize::from(sign < 0.0) => {
            let mantissa = mantissa as f64;
            let value = if scale < 0 { mantissa / power } else { mantissa * power };
            Ok(((sign * value) as f32, length))
        }
        Some(_) | None => slow(text.get(..length).unwrap_or_default()).map(|value| (value, length)),
    }
}

/// Reads `e-02` at `at`; returns the power and the end of the number.
fn exponent(text: &[u8], at: usize) -> (i32, usize) {
    if !matches!(text.get(at), Some(b'e' | b'E')) {
        return (0, at);
    }
    let negative = text.get(at + 1) == Some(&b'-');
    let mut end = at + 1 + usize::from(matches!(text.get(at + 1), Some(b'-' | b'+')));
    let digits = end;
    let mut power = 0_i32;
    while let Some(byte @ b'0'..=b'9') = text.get(end) {
        power = power.saturating_mul(10).saturating_add(i32::from(byte - b'0'));
        end += 1;
    }
    if end == digits {
        return (0, at);
    }
    (if negative { -power } else { power }, end)
}

fn slow(token: &[u8]) -> Result<f32, String> {
    let text = std::str::from_utf8(token).map_err(|_| lossy(token.iter().copied()))?;
    text.parse::<f32>().ok().filter(|value| value.is_finite()).ok_or_else(|| text.to_owned())
}

fn lossy(bytes: impl Iterator<Item = u8>) -> String {
    String::from_utf8_lossy(&bytes.take(60).collect::<Vec<_>>()).into_owned()
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
