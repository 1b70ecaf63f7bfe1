//! W3C trace context: `traceparent` and `tracestate` of a request.

use http::{HeaderMap, HeaderValue};

/// Longest `tracestate` that is passed on, the standard's least.
const STATE: usize = 512;

/// The span of the client that made a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its trace, never 0.
    pub trace: u128,
    /// Its id, never 0.
    pub span: u64,
    /// Whether the client keeps the trace.
    pub sampled: bool,
    /// What vendors added.
    pub state: String,
}

impl Parent {
    /// Returns the parent that `headers` name, if they do.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let (trace, span, sampled) = parse(text("traceparent")?)?;
        let state = text("tracestate").filter(|state| state.len() <= STATE).unwrap_or_default().to_owned();
        Some(Self { trace, span, sampled, state })
    }
}

/// Returns the `traceparent` of a kept trace.
pub(super) fn format(trace: u128, span: u64) -> String {
    format!("00-{trace:032x}-{span:016x}-01")
}

/// Reads version 00, and of later versions what stands where version 00 has it.
fn parse(text: &str) -> Option<(u128, u64, bool)> {
    let mut parts = text.trim().split('-');
    let version = hex(parts.next()?, 2)?;
    let (trace, span, flags) = (hex(parts.next()?, 32)?, hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
    let is_odd = version == 0xff || trace == 0 || span == 0 || (version == 0 && parts.next().is_some());
    (!is_odd).then_some((trace, u64::try_from(span).ok()?, flags & 1 == 1))
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == digits && is_hex).then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(trace in 1u128.., span in 1u64..) {
            prop_assert_eq!(parse(&format(trace, span)), Some((trace, span, true)));
        }

        #[test]
        fn no_text_is_too_odd(text in ".*") {
            let _either = parse(&text);
        }
    }

    #[test]
    fn the_standards_rules_hold() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let parsed = |text: &str| parse(text).map(|(_, span, sampled)| (span, sampled));
        let at = |version: &str, span: &str, rest: &str| parsed(&format!("{version}-{trace}-{span}-{rest}"));
        assert_eq!(at("00", "b7ad6b7169203331", "01"), Some((0xb7ad_6b71_6920_3331, true)));
        assert_eq!(at("00", "b7ad6b7169203331", "00"), Some((0xb7ad_6b71_6920_3331, false)));
        assert_eq!(at("cc", "b7ad6b7169203331", "01-more"), Some((0xb7ad_6b71_6920_3331, true)));
        for (version, span, rest) in [
            ("ff", "b7ad6b7169203331", "01"),
            ("00", "0000000000000000", "01"),
            ("00", "B7AD6B7169203331", "01"),
            ("00", "b7ad6b7169203331", "01-more"),
            ("00", "b7ad6b716920333", "01"),
        ] {
            assert_eq!(at(version, span, rest), None, "{version} {span} {rest}");
        }
        assert_eq!(parsed(&format!("00-{}-b7ad6b7169203331-01", "0".repeat(32))), None);
    }
}
