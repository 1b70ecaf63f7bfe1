//! Parses the facts of a request in any wire format.

use super::{Facts, Fields, Invalid, Wire, chat, completions, messages, responses};

/// Fields that decide rights, budgets and the kind of response.
const READ_FIELDS: [&str; 19] = [
    "model",
    "messages",
    "input",
    "prompt",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "best_of",
    "stream",
    "stream_options",
    "user",
    "metadata",
    "tools",
    "system",
    "instructions",
    "previous_response_id",
    "conversation",
    "safety_identifier",
];

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
        fields.check_case(&READ_FIELDS)?;
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
        facts.user = facts.user.or_else(|| fields.string("user")).or_else(|| fields.string("safety_identifier"));
        let read = [Some("tools"), Some("functions"), schema].into_iter().flatten();
        facts.prompt_bytes += read.filter_map(|name| fields.find(name)).map(|value| value.get().len()).sum::<usize>();
        Ok(facts)
    }
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
