//! The facts of a request that decisions use, independent of its format.

use super::{Fields, Invalid, Wire, chat, completions, content::BYTES_PER_TOKEN, messages, responses};
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

#[cfg(test)]
mod tests {
    use super::*;

    fn output(wire: Wire, fields: &str) -> u64 {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"q"}}],"input":"q",{fields}}}"#);
        Facts::read(wire, &Fields::parse(&body).unwrap()).unwrap().output_tokens(1_000)
    }

    #[test]
    fn every_spelling_of_the_output_limit_is_covered() {
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
    fn schemas_of_tools_and_responses_count_as_prompt() {
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
