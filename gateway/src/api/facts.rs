//! The facts of a request that decisions use, independent of its format.

use super::content::BYTES_PER_TOKEN;
use crate::decide::RequiredCapabilities;

/// The facts of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The query: the text of the last user message.
    pub text: String,
    /// Who wrote the last message.
    pub last_message: LastMessage,
    /// The opening of the conversation: everything up to the first user message.
    pub opening: String,
    /// Whether the conversation contains an assistant message.
    pub continues: bool,
    /// Bytes of text in the whole prompt, including tool definitions.
    pub prompt_bytes: usize,
    /// The maximum of output tokens; the largest value if upstreams may read the request differently.
    pub max_tokens: Option<u32>,
    /// Whether an upstream may ignore `max_tokens` or read it differently, for example because it is negative.
    pub is_ambiguous: bool,
    /// The number of requested completions; none means one.
    pub choices: Option<u32>,
    /// The capabilities that the LLM must have.
    pub needs: RequiredCapabilities,
    /// Whether the response is to be streamed.
    pub stream: bool,
    /// The user field of the format.
    pub user: Option<String>,
    /// What the request refers to and does not contain.
    pub references: Vec<Reference>,
}

/// A reference to what an earlier response made, which perhaps only its maker can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The field that refers to it.
    pub param: String,
    /// Its id; of encrypted reasoning, the content.
    pub id: String,
    /// Whether a request to another endpoint than the maker's has no meaning.
    pub is_required: bool,
}

/// The author of the last message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LastMessage {
    /// The user, with a new query.
    #[default]
    User,
    /// A tool; the conversation continues without a new query.
    Tool,
}

impl Facts {
    /// Adds a message to the opening, unless the opening is complete.
    pub(super) fn push_opening(&mut self, role: &str, text: &str) {
        if self.text.is_empty() && !self.continues {
            self.opening.push_str(role);
            self.opening.push('\0');
            self.opening.push_str(text);
        }
    }

    /// Returns the estimated prompt tokens.
    pub fn prompt_tokens(&self) -> u32 {
        estimate_tokens(self.prompt_bytes)
    }

    /// Returns the maximum of output tokens over all completions. A request without a maximum counts with `assumed`.
    pub fn output_tokens(&self, assumed: u32) -> u64 {
        let least = if self.is_ambiguous { assumed } else { 0 };
        let each = self.max_tokens.unwrap_or(assumed).max(least);
        u64::from(each) * u64::from(self.choices.unwrap_or(1).max(1))
    }
}

/// Returns the estimated tokens of `bytes` bytes of text.
pub fn estimate_tokens(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX)
}
