//! Repairs JSON strings in which an upstream split a surrogate pair.

/// Length of an escape such as `\ud83d`.
const ESCAPE: usize = 6;

/// Returns `json` with U+FFFD for each unpaired surrogate escape; none if there is none.
pub(super) fn repair_surrogates(json: &str) -> Option<String> {
    let mut repaired = String::new();
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at_checked(at)?;
        repaired.push_str(before);
        let length = match (half(escape), escape.get(ESCAPE..).and_then(half)) {
            (Some(Half::High), Some(Half::Low)) => ESCAPE * 2,
            (Some(_), _) => {
                repaired.push_str("\\ufffd");
                rest = escape.get(ESCAPE..)?;
                continue;
            }
            // The escaped character may be a backslash.
            (None, _) => 1 + escape.chars().nth(1).map_or(0, char::len_utf8),
        };
        let (kept, behind) = escape.split_at_checked(length)?;
        repaired.push_str(kept);
        rest = behind;
    }
    repaired.push_str(rest);
    (repaired != json).then_some(repaired)
}

enum Half {
    High,
    Low,
}

/// Returns which half of a pair the escape at the start of `text` is.
fn half(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..ESCAPE - 2)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xD800..=0xDBFF => Some(Half::High),
        0xDC00..=0xDFFF => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpaired_surrogates_are_replaced_and_pairs_and_backslashes_stay() {
        let repaired = |json: &str| repair_surrogates(json);
        assert_eq!(repaired(r#"{"a":"x\ud83d"}"#).as_deref(), Some(r#"{"a":"x\ufffd"}"#));
        assert_eq!(
            repaired(r#""\ude00\ud83d\ude00\uD83D\ud83d""#).as_deref(),
            Some(r#""\ufffd\ud83d\ude00\ufffd\ufffd""#)
        );
        for whole in [r#""\ud83d\ude00 \\ud83d \n é""#, r#""\"#, ""] {
            assert_eq!(repaired(whole), None, "{whole}");
        }
    }
}
