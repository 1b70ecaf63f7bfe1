//! Text that the harness of a coding agent adds to a user's message: it is not the user's question.

use std::borrow::Cow;

/// Tags in which harnesses wrap what they add.
const TAGS: [&str; 9] = [
    "system-reminder",
    "system_reminder",
    "environment_details",
    "environment_context",
    "local-command-stdout",
    "local-command-caveat",
    "ide_opened_file",
    "ide_selection",
    "additional_data",
];

/// Returns `text` without the elements that a harness added. An element without its end is kept.
pub(super) fn without_additions(text: &str) -> Cow<'_, str> {
    if !text.contains('<') {
        return Cow::Borrowed(text);
    }
    TAGS.iter().fold(Cow::Borrowed(text), |text, tag| match without_tag(&text, tag) {
        Some(rest) => Cow::Owned(rest),
        None => text,
    })
}

/// Returns `text` without the elements `tag`; none if there is none.
fn without_tag(text: &str, tag: &str) -> Option<String> {
    let (start, end) = (format!("<{tag}>"), format!("</{tag}>"));
    let (mut kept, mut rest, mut is_changed) = (String::new(), text, false);
    while let Some((before, inside)) = rest.split_once(&start) {
        let Some((_, behind)) = inside.split_once(&end) else {
            break;
        };
        kept.push_str(before);
        rest = behind;
        is_changed = true;
    }
    kept.push_str(rest);
    is_changed.then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_are_removed_and_other_text_is_kept() {
        let text = "<system-reminder>a</system-reminder>What is 2+2?<system-reminder>b</system-reminder>";
        assert_eq!(without_additions(text), "What is 2+2?");
        for kept in ["if a < b", "<system-reminder>without an end", "<b>bold</b>", ""] {
            assert_eq!(without_additions(kept), kept);
        }
    }
}
