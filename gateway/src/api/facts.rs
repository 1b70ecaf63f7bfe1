//! What the gateway acts on in a request, whatever its format.

use super::{Fields, Invalid, Wire, chat, completions, content::BYTES_PER_TOKEN, messages, responses};
use crate::decide::RequiredCapabilities;

/// What a request says, as far as deciding needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The query: the text of the last user message.
    pub text: String,
    /// Whether the last message is the user's.
    pub last_message: LastMessage,
    /// What opened the conversation: everything up to the first user message.
    pub opening: String,
    /// Whether something was answered already.
    pub continues: bool,
    /// Bytes of text in the whole prompt, tool definitions included.
    pub prompt_bytes: usize,
    /// Most tokens the client wants back, as far as it says so: the largest of what an upstream may read.
    pub max_tokens: Option<u32>,
    /// Whether it says so in a way that an upstream may read otherwise.
    pub is_ambiguous: bool,
    /// How many answers the client wants; none means one.
    pub choices: Option<u32>,
    /// What an LLM must be able to do.
    pub needs: RequiredCapabilities,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The format's own `user` field.
    pub user: Option<String>,
}

/// Who spoke last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LastMessage {
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
        let (most, schema): (&[&str], _) = match wire {
            Wire::Chat => (&["max_completion_tokens", "max_tokens"], Some("response_format")),
            Wire::Responses => (&["max_output_tokens"], Some("text")),
            Wire::Messages => (&["max_tokens"], Some("output_config")),
            Wire::Completions | Wire::Embeddings => (&["max_tokens"], None),
        };
        let most = fields.upper_bound(most);
        (facts.max_tokens, facts.is_ambiguous) = (most.number, most.is_ambiguous);
        let asked = fields.upper_bound(&["n", "best_of"]).number.unwrap_or(1).max(1);
        facts.choices = Some(facts.choices.unwrap_or(1).saturating_mul(asked));
        facts.user = facts.user.or_else(|| fields.string("user"));
        let read = [Some("tools"), Some("functions"), schema].into_iter().flatten();
        facts.prompt_bytes += read.filter_map(|name| fields.find(name)).map(|value| value.get().len()).sum::<usize>();
        Ok(facts)
    }

    /// Adds a message to the opening, which ends with the first user message.
    pub(super) fn push_opening(&mut self, role: &str, text: &str) {
        if self.text.is_empty() && !self.continues {
            self.opening.push_str(role);
            self.opening.push('\0');
            self.opening.push_str(text);
        }
    }

    /// Returns the estimated tokens of the prompt.
    pub fn prompt_tokens(&self) -> u32 {
        estimate_tokens(self.prompt_bytes)
    }

    /// Returns the most tokens of all answers together, where one that names no most has `assumed`.
    pub fn output_tokens(&self, assumed: u32) -> u64 {
        let least = if self.is_ambiguous { assumed } else { 0 };
        let each = self.max_tokens.unwrap_or(assumed).max(least);
        u64::from(each) * u64::from(self.choices.unwrap_or(1).max(1))
    }

    /// Returns the estimated tokens of the prompt and the most the client wants back.
    pub fn total_tokens(&self) -> u32 {
        self.prompt_tokens().saturating_add(self.max_tokens.unwrap_or(0))
    }
}

/// Returns the estimated tokens of `bytes` of text.
pub fn estimate_tokens(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(wire: Wire, fields: &str) -> u64 {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"q"}}],"input":"q",{fields}}}"#);
        Facts::read(wire, &Fields::parse(&body).unwrap()).unwrap().output_tokens(1_000)
    }

    #[test]
    fn no_spelling_of_the_most_tokens_escapes() {
        for (fields, expected) in [
            (r#""x":1"#, 1_000),
            (r#""max_tokens":null"#, 1_000),
            (r#""max_tokens":7"#, 7),
            (r#""max_tokens":100000.0"#, 100_000),
            (r#""max_tokens":1e5"#, 100_000),
            (r#""max_tokens":99999999999"#, u64::from(u32::MAX)),
            (r#""max_tokens":1e999"#, u64::from(u32::MAX)),
            (r#""max_tokens":7,"max_completion_tokens":100000"#, 100_000),
            (r#""max_tokens":100000,"max_completion_tokens":7"#, 100_000),
            (r#""max_tokens":100000,"max_tokens":7"#, 100_000),
            (r#""max_tokens":"100000""#, 100_000),
            (r#""max_tokens":"100_000 ""#, 100_000),
            (r#""max_tokens":"7""#, 1_000),
            (r#""max_tokens":-1"#, 1_000),
            (r#""max_tokens":-1,"max_completion_tokens":7"#, 1_000),
            (r#""max_tokens":[1]"#, 1_000),
            (r#""max_tokens":7,"n":8"#, 56),
            (r#""max_tokens":7,"n":8.0"#, 56),
            (r#""max_tokens":7,"n":"8""#, 56),
            (r#""max_tokens":7,"n":0"#, 7),
        ] {
            assert_eq!(output(Wire::Chat, fields), expected, "{fields}");
        }
        assert_eq!(output(Wire::Responses, r#""max_output_tokens":1e5"#), 100_000);
        assert_eq!(output(Wire::Messages, r#""max_tokens":1e5"#), 100_000);
    }

    #[test]
    fn schemas_of_tools_and_answers_count_to_the_prompt() {
        for (wire, name) in [
            (Wire::Chat, "tools"),
            (Wire::Chat, "functions"),
            (Wire::Chat, "response_format"),
            (Wire::Messages, "tools"),
            (Wire::Messages, "output_config"),
            (Wire::Responses, "tools"),
            (Wire::Responses, "text"),
        ] {
            let schema = r#"{"description":"long"}"#;
            let bytes = |fields: &str| {
                let body = format!(r#"{{"messages":[{{"role":"user","content":"q"}}],"input":"q"{fields}}}"#);
                Facts::read(wire, &Fields::parse(&body).unwrap()).unwrap().prompt_bytes
            };
            assert_eq!(bytes(&format!(r#","{name}":{schema}"#)) - bytes(""), schema.len(), "{name}");
        }
    }
}
