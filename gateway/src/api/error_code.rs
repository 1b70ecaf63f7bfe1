//! Error types, codes and words by which clients of each format decide what to do, and their translation.
//!
//! Sources: OpenAI's guide to error codes; Anthropic's page "Errors". Coding agents compact a conversation when they read
//! OpenAI's code `context_length_exceeded` or Anthropic's words "prompt is too long".

use std::borrow::Cow;

/// OpenAI's code for a prompt that exceeds the context window.
pub const CONTEXT_LENGTH_EXCEEDED: &str = "context_length_exceeded";

/// Anthropic's words for a prompt that exceeds the context window.
const PROMPT_TOO_LONG: &str = "prompt is too long";

/// Other words for it, as vendors write them, in lower case.
const CONTEXT_WORDS: [&str; 8] = [
    PROMPT_TOO_LONG,
    "maximum context length",
    "context length exceeded",
    "context window",
    "context_length_exceeded",
    "input is too long",
    "too many input tokens",
    "exceeds the maximum number of tokens",
];

/// Returns whether an error with `message` and `code` says that the prompt exceeds the context window.
pub fn is_context_overflow(message: &str, code: Option<&str>) -> bool {
    let message = message.to_ascii_lowercase();
    code == Some(CONTEXT_LENGTH_EXCEEDED) || CONTEXT_WORDS.iter().any(|words| message.contains(words))
}

/// Returns Anthropic's error type for a status.
pub fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

/// Returns `message` with the words by which Anthropic's clients recognise an exceeded context window.
pub fn for_anthropic<'m>(message: &'m str, code: Option<&str>) -> Cow<'m, str> {
    let is_told = message.to_ascii_lowercase().contains(PROMPT_TOO_LONG);
    if is_context_overflow(message, code) && !is_told {
        return Cow::Owned(format!("{PROMPT_TOO_LONG}: {message}"));
    }
    Cow::Borrowed(message)
}

/// Returns OpenAI's code for an error of Anthropic's type `kind` with `message`; none if OpenAI has none.
pub fn openai_code(kind: &str, message: &str) -> Option<&'static str> {
    match kind {
        "invalid_request_error" if is_context_overflow(message, None) => Some(CONTEXT_LENGTH_EXCEEDED),
        "authentication_error" => Some("invalid_api_key"),
        "billing_error" => Some("insufficient_quota"),
        "not_found_error" => Some("model_not_found"),
        "rate_limit_error" => Some("rate_limit_exceeded"),
        "request_too_large" => Some("request_too_large"),
        "overloaded_error" => Some("server_is_overloaded"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exceeded_context_window_is_recognised_in_either_dialect() {
        let openai = "This model's maximum context length is 8192 tokens.";
        assert!(for_anthropic(openai, None).starts_with("prompt is too long: This model's"));
        let anthropic = "prompt is too long: 212000 tokens > 200000 maximum";
        assert_eq!(for_anthropic(anthropic, None), anthropic);
        assert_eq!(openai_code("invalid_request_error", anthropic), Some("context_length_exceeded"));
        assert_eq!(openai_code("invalid_request_error", "max_tokens: required"), None);
        assert_eq!(for_anthropic("slow down", Some("rate_limit_exceeded")), "slow down");
    }
}
