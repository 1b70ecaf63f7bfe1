//! Maps tool names into the alphabet and length that the other format's validator takes, and back in the response.
//!
//! Both formats take `^[a-zA-Z0-9_-]+$`; OpenAI at most 64 characters (Chat API, `tools[].function.name`), Anthropic at
//! most 128 (Messages API, `tools[].name`).

use std::{borrow::Cow, collections::HashMap};

use sha2::{Digest, Sha256};

/// The longest name towards OpenAI.
pub(super) const OPENAI_LENGTH: usize = 64;

/// The longest name towards Anthropic.
pub(super) const ANTHROPIC_LENGTH: usize = 128;

/// Characters of the hash that ends a mapped name.
const HASH_LENGTH: usize = 8;

/// The tool names of one request that had to be mapped.
#[derive(Debug, Clone, Default)]
pub(super) struct ToolNames {
    longest: usize,
    original: HashMap<String, String>,
}

impl ToolNames {
    /// Returns a map to names of at most `longest` characters.
    pub(super) fn new(longest: usize) -> Self {
        Self { longest, original: HashMap::new() }
    }

    /// Returns `name` as the upstream's validator takes it.
    pub(super) fn map<'n>(&mut self, name: &'n str) -> Cow<'n, str> {
        if name.is_empty() || (name.len() <= self.longest && name.chars().all(is_allowed)) {
            return Cow::Borrowed(name);
        }
        let plain: String = name.chars().map(|letter| if is_allowed(letter) { letter } else { '_' }).collect();
        let digest = const_hex::encode(Sha256::digest(name.as_bytes()));
        let (kept, hash) = (self.longest.saturating_sub(HASH_LENGTH + 1), digest.get(..HASH_LENGTH));
        let mapped = format!("{}_{}", plain.get(..kept).unwrap_or(&plain), hash.unwrap_or_default());
        self.original.insert(mapped.clone(), name.to_owned());
        Cow::Owned(mapped)
    }

    /// Returns the client's name of the tool that the upstream calls `name`.
    pub(super) fn original<'n>(&'n self, name: &'n str) -> &'n str {
        self.original.get(name).map_or(name, String::as_str)
    }
}

fn is_allowed(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_fit_the_validator_and_come_back(name in ".{1,200}", longest in prop_oneof![Just(64_usize), Just(128)]) {
            let mut names = ToolNames::new(longest);
            let mapped = names.map(&name).into_owned();
            prop_assert!(mapped.len() <= longest && mapped.chars().all(is_allowed));
            prop_assert_eq!(names.original(&mapped), &name);
        }
    }

    #[test]
    fn long_names_with_the_same_beginning_stay_distinct() {
        let mut names = ToolNames::new(OPENAI_LENGTH);
        let [one, two] = ["a", "b"].map(|end| format!("{}{end}", "x".repeat(80)));
        assert_ne!(names.map(&one), names.map(&two));
        assert_eq!(names.map("look"), "look");
    }
}
