//! Shortens text of the plugin for the log: it may contain the user's text.

/// Most characters of an excerpt.
const MAX_CHARS: usize = 200;

/// Returns the first characters of `text` with control characters escaped, so that it stays on one line.
pub(super) fn log_excerpt(text: &str) -> String {
    let mut excerpt: String = text.chars().take(MAX_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_on_one_line() {
        assert_eq!(log_excerpt("refused"), "refused");
        assert_eq!(log_excerpt("a\nb\u{1b}[1m"), "a\\nb\\u{1b}[1m");
        assert_eq!(log_excerpt(&"é".repeat(MAX_CHARS)), "é".repeat(MAX_CHARS));
        assert_eq!(log_excerpt(&"x".repeat(MAX_CHARS + 1)), format!("{}…", "x".repeat(MAX_CHARS)));
    }
}
