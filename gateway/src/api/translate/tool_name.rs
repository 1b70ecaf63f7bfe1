//! Maps tool names into the alphabet and length that the other format's validator takes, and back in the response.
//!
//! Both formats take `^[a-zA-Z0-9_-]+$`; OpenAI at most 64 characters (Chat API, `tools[].function.name`), Anthropic at
//! most 128 (Messages API, `tools[].name`).

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

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
    mapped: HashMap<String, String>,
    original: HashMap<String, String>,
}

impl ToolNames {
    /// Returns the map of the tools `names` to names of at most `longest` characters. No two tools get the same name.
    pub(super) fn of<'n>(names: impl Iterator<Item = &'n str> + Clone, longest: usize) -> Self {
        let mut map = Self { longest, ..Self::default() };
        let mut taken: HashSet<String> = names.clone().filter(|name| map.fits(name)).map(str::to_owned).collect();
        for name in names {
            if map.fits(name) || map.mapped.contains_key(name) {
                continue;
            }
            let mut salt = 0;
            let mut mapped = map.shortened(name, salt);
            while !taken.insert(mapped.clone()) {
                salt += 1;
                mapped = map.shortened(name, salt);
            }
            map.original.insert(mapped.clone(), name.to_owned());
            map.mapped.insert(name.to_owned(), mapped);
        }
        map
    }

    /// Returns `name` as the upstream's validator takes it. A call of an earlier turn may name a tool that is no longer offered.
    pub(super) fn map<'n>(&'n self, name: &'n str) -> Cow<'n, str> {
        match self.mapped.get(name) {
            Some(mapped) => Cow::Borrowed(mapped),
            None if self.fits(name) => Cow::Borrowed(name),
            None => Cow::Owned(self.shortened(name, 0)),
        }
    }

    /// Returns the client's name of the tool that the upstream calls `name`.
    pub(super) fn original<'n>(&'n self, name: &'n str) -> &'n str {
        self.original.get(name).map_or(name, String::as_str)
    }

    fn fits(&self, name: &str) -> bool {
        name.is_empty() || (name.len() <= self.longest && name.chars().all(is_allowed))
    }

    /// Returns the beginning of `name` with a hash; `salt` makes another one for a name that is taken.
    fn shortened(&self, name: &str, salt: u32) -> String {
        let plain: String = name.chars().map(|letter| if is_allowed(letter) { letter } else { '_' }).collect();
        let salted = if salt == 0 { name.to_owned() } else { format!("{name}\0{salt}") };
        let digest = const_hex::encode(Sha256::digest(salted.as_bytes()));
        let (kept, hash) = (self.longest.saturating_sub(HASH_LENGTH + 1), digest.get(..HASH_LENGTH));
        format!("{}_{}", plain.get(..kept).unwrap_or(&plain), hash.unwrap_or_default())
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
            let names = ToolNames::of([name.as_str()].into_iter(), longest);
            let mapped = names.map(&name).into_owned();
            prop_assert!(mapped.len() <= longest && mapped.chars().all(is_allowed));
            prop_assert_eq!(names.original(&mapped), &name);
        }
    }

    #[test]
    fn long_names_with_the_same_beginning_stay_distinct() {
        let [one, two] = ["a", "b"].map(|end| format!("{}{end}", "x".repeat(80)));
        let names = ToolNames::of([one.as_str(), &two, "look"].into_iter(), OPENAI_LENGTH);
        assert_ne!(names.map(&one), names.map(&two));
        assert_eq!(names.map("look"), "look");
    }

    #[test]
    fn a_mapped_name_never_meets_the_name_of_another_tool() {
        let alone = ToolNames::of(["get weather"].into_iter(), OPENAI_LENGTH);
        let mapped = alone.map("get weather").into_owned();
        let names = ToolNames::of(["get weather", mapped.as_str()].into_iter(), OPENAI_LENGTH);
        assert_ne!(names.map("get weather"), mapped);
        assert_eq!((names.original(&mapped), names.map(&mapped).as_ref()), (mapped.as_str(), mapped.as_str()));
    }
}
