//! What the host offers the plugin: one file for each imported WIT interface.
//!
//! The plugin's input is hostile: every list is bounded and every product checked before anything is done with it.

mod encoder;
mod inference;
pub(crate) mod log;
mod users;

/// Returns the longest prefix of whole characters within `max` bytes.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("", 3), "");
    }
}
