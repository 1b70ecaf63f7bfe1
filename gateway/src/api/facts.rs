//! What the gateway acts on in a request, whatever its format.

use super::{Fields, Invalid, Wire, chat, completions, messages, responses};
use crate::decide::Needs;

/// Bytes of text to one token: the rule of thumb of English prose for BPE vocabularies. Estimates made with it only
/// hold prompts against context windows and budgets before the upstream has counted.
const BYTES_PER_TOKEN: usize = 4;

/// What a request says, as far as deciding needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The query: the text of the last user message.
    pub text: String,
    /// Whether the last message is the user's.
    pub turn: Turn,
    /// What opened the conversation: everything up to the first user message.
    pub opening: String,
    /// Whether something was answered already.
    pub continues: bool,
    /// Bytes of text in the whole prompt, tool definitions included.
    pub prompt_bytes: usize,
    /// Most tokens the client wants back.
    pub max_tokens: Option<u32>,
    /// How many answers the client wants; none means one.
    pub choices: Option<u32>,
    /// What an LLM must be able to do.
    pub needs: Needs,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The format's own `user` field.
    pub user: Option<String>,
}

/// Who spoke last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Turn {
    /// The user: a query.
    #[default]
    User,
    /// A tool: the conversation goes on without a new query.
    Tool,
}

impl Facts {
    /// Reads the facts of a request in format `wire` from its top-level `fields`.
    pub fn read(wire: Wire, fields: &Fields<'_>) -> Result<Self, Invalid> {
        let mut facts = match wire {
            Wire::Chat => chat::facts(fields)?,
            Wire::Completions => completions::facts(fields, "prompt")?,
            Wire::Embeddings => completions::facts(fields, "input")?,
            Wire::Responses => responses::facts(fields)?,
            Wire::Messages => messages::facts(fields)?,
        };
        facts.stream = fields.is_true("stream");
        facts.choices = fields.number("n").max(fields.number("best_of"));
        facts.user = facts.user.or_else(|| fields.string("user"));
        facts.prompt_bytes += fields.find("tools").map_or(0, |tools| tools.get().len());
        Ok(facts)
    }

    /// Adds a message to the opening, which ends with the first user message.
    pub(super) fn open(&mut self, role: &str, text: &str) {
        if self.text.is_empty() && !self.continues {
            self.opening.push_str(role);
            self.opening.push('\0');
            self.opening.push_str(text);
        }
    }

    /// Returns the estimated tokens of the prompt.
    pub fn prompt_tokens(&self) -> u32 {
        estimate(self.prompt_bytes)
    }

    /// Returns the estimated tokens of the prompt and the most the client wants back.
    pub fn total_tokens(&self) -> u32 {
        self.prompt_tokens().saturating_add(self.max_tokens.unwrap_or(0))
    }
}

/// Returns the estimated tokens of `bytes` of text.
pub fn estimate(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX)
}
