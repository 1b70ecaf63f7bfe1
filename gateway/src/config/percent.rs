//! Percent-encoded text.

/// Decodes `text`; none if that is not UTF-8 or a `%` is not followed by two hex digits.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut escapes = text.split('%').skip(1);
    let is_valid =
        escapes.all(|rest| rest.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)));
    if !is_valid {
        return None;
    }
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_that_is_none_is_refused() {
        assert_eq!(decode("Bearer%20k").as_deref(), Some("Bearer k"));
        for wrong in ["%", "%2", "%zz", "%+1", "%ff"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
