//! The token usage that an upstream reports.

use serde::{Deserialize, de::IgnoredAny};

/// The tokens of one response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens, including cached ones.
    pub input: u64,
    /// Prompt tokens read from the cache.
    pub cached: u64,
    /// Output tokens.
    pub output: u64,
}

/// The fields of the `usage` objects of all formats.
#[derive(Debug, Deserialize)]
struct RawUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<Details>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

/// The positions of `usage`: at the top level, in `message` of Anthropic's first event, or in OpenAI's `response`.
#[derive(Debug, Deserialize)]
struct UsageHolder {
    usage: Option<RawUsage>,
    message: Option<NestedUsage>,
    response: Option<NestedUsage>,
}

/// The positions of the model name, the same as those of `usage`.
#[derive(Debug, Deserialize)]
struct ModelHolder {
    model: Option<String>,
    message: Option<NestedModel>,
    response: Option<NestedModel>,
}

#[derive(Debug, Deserialize)]
struct NestedModel {
    model: Option<String>,
}

/// Reads the model name in the JSON `text` of a response or of one event.
pub fn model(text: &str) -> Option<String> {
    let named: ModelHolder = serde_json::from_str(text).ok()?;
    let inner = named.message.or(named.response).and_then(|inner| inner.model);
    named.model.or(inner)
}

#[derive(Debug, Deserialize)]
struct NestedUsage {
    usage: Option<RawUsage>,
}

impl Usage {
    /// Reads the usage in the JSON `text` of a response or of one event.
    pub fn read(text: &str) -> Option<Self> {
        let holder: UsageHolder = serde_json::from_str(text).ok()?;
        let inner = || holder.message.and_then(|inner| inner.usage);
        let nested = || holder.response.and_then(|inner| inner.usage);
        Some(holder.usage.or_else(inner).or_else(nested)?.into())
    }

    /// Reads the usage in `text`, a complete response. Usage usually follows the content, which then is not parsed.
    pub fn read_whole(text: &str) -> Option<Self> {
        // It is the top-level `usage` if the text after it closes exactly one object.
        let is_own = |rest: &str| serde_json::from_str::<IgnoredAny>(&format!("{{\"usage\":0{rest}")).is_ok();
        let behind = last(text).filter(|(_, rest)| is_own(rest));
        behind.map(|(written, _)| written.into()).or_else(|| Self::read(text))
    }

    /// Reads the last usage in `text`, the end of a response.
    pub fn read_last(text: &str) -> Option<Self> {
        last(text).map(|(written, _)| written.into())
    }

    /// Returns the larger value of each count, as later events of a stream report higher counts.
    pub fn merge(self, later: Self) -> Self {
        Self {
            input: self.input.max(later.input),
            cached: self.cached.max(later.cached),
            output: self.output.max(later.output),
        }
    }
}

/// Returns the last usage in `text`, and the text after it.
fn last(text: &str) -> Option<(RawUsage, &str)> {
    let (before, behind) = text.rsplit_once("\"usage\"")?;
    // The match is inside a string with an escaped quote.
    if before.ends_with('\\') {
        return None;
    }
    let value = behind.trim_start().strip_prefix(':')?;
    let mut values = serde_json::Deserializer::from_str(value).into_iter();
    let written = values.next()?.ok()?;
    Some((written, value.get(values.byte_offset()..)?))
}

impl From<RawUsage> for Usage {
    fn from(written: RawUsage) -> Self {
        let details = written.prompt_tokens_details.or(written.input_tokens_details);
        let cached = details.and_then(|details| details.cached_tokens);
        // Anthropic excludes cached tokens from `input_tokens`; OpenAI includes them.
        let beside = written.cache_read_input_tokens.unwrap_or(0);
        let created = written.cache_creation_input_tokens.unwrap_or(0);
        let input = written.prompt_tokens.or(written.input_tokens).unwrap_or(0);
        Self {
            input: input.saturating_add(beside).saturating_add(created),
            cached: cached.unwrap_or(beside),
            output: written.completion_tokens.or(written.output_tokens).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_parsed() {
        let openai = r#"{"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4}}}"#;
        let responses = r#"{"type":"response.completed","response":{"usage":{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"cached_tokens":4}}}}"#;
        let anthropic = r#"{"type":"message_start","message":{"usage":{"input_tokens":6,"cache_read_input_tokens":4,"output_tokens":5}}}"#;
        for text in [openai, responses, anthropic] {
            assert_eq!(Usage::read(text), Some(Usage { input: 10, cached: 4, output: 5 }), "{text}");
        }
    }

    #[test]
    fn a_response_without_usage_has_none() {
        for text in [r#"{"usage":null}"#, "{}", "[DONE]", r#"{"usage":"many"}"#] {
            assert_eq!(Usage::read(text), None, "{text}");
            assert_eq!(Usage::read_whole(text), None, "{text}");
        }
    }

    #[test]
    fn the_usage_of_a_response_is_the_top_level_one() {
        let own = r#""usage" : {"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}"#;
        let other = r#"{"id":1,"usage":{"prompt_tokens":7}}"#;
        for text in [
            format!(r#"{{{own}}}"#),
            format!(r#"{{"choices":[],{own},"service_tier":null,"system_fingerprint":"f"}} "#),
            format!(r#"{{{own},"choices":[{{"message":{{"content":"\"usage\":{{}} \"usage"}}}}]}}"#),
            format!(r#"{{"x_other":{other},{own}}}"#),
            format!(r#"{{{own},"x_other":{other}}}"#),
            format!(r#"{{{own},"x_other":[{other}]}}"#),
            format!(r#"{{{own},"x_\"usage":{{"prompt_tokens":7}}}}"#),
        ] {
            assert_eq!(Usage::read_whole(&text), Some(Usage { input: 10, cached: 4, output: 5 }), "{text}");
        }
        assert_eq!(Usage::read_whole(&format!(r#"{{"x_other":{other}}}"#)), None);
    }
}
