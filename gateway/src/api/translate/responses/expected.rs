//! What a responses request says about its response.

use serde_json::{Map, Value, json};

/// The parts of a response that are known before the upstream answers.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The id of the response.
    pub id: String,
    /// The time of the request in Unix seconds.
    pub created: u64,
    /// Whether the client asked for summaries of the reasoning.
    pub(super) shows_reasoning: bool,
    /// The fields of the request that a response repeats.
    pub(super) repeated: Map<String, Value>,
}

impl Expected {
    /// Reads the request `written`; `id` is the id of its response, `created` the current time.
    pub(in super::super) fn of(written: &Value, id: String, created: u64) -> Self {
        let summary = ["/reasoning/summary", "/reasoning/generate_summary"];
        let shows_reasoning = summary.iter().any(|path| written.pointer(path).is_some_and(|value| !value.is_null()));
        let mut repeated = Map::new();
        for (name, otherwise) in repeated_fields() {
            let value = written.get(name).filter(|value| !value.is_null()).cloned().unwrap_or(otherwise);
            repeated.insert(name.to_owned(), value);
        }
        if let Some(format) = repeated.get_mut("text").and_then(Value::as_object_mut) {
            format.entry("format").or_insert_with(|| json!({"type": "text"}));
        }
        if let Some(reasoning) = repeated.get_mut("reasoning").and_then(Value::as_object_mut) {
            reasoning.entry("effort").or_insert(Value::Null);
            reasoning.entry("summary").or_insert(Value::Null);
        }
        Self { id, created, shows_reasoning, repeated }
    }

    /// Returns the id of the output item `position`, which begins with `prefix`.
    pub(super) fn item_id(&self, prefix: &str, position: usize) -> String {
        let number = self.id.strip_prefix("resp_").unwrap_or(&self.id);
        format!("{prefix}_{number}{position:02x}")
    }

    /// Returns the model that the request names.
    pub(super) fn model(&self) -> &str {
        self.repeated.get("model").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Returns the repeated fields with the values of requests that leave them out (Responses API, "The response object").
fn repeated_fields() -> [(&'static str, Value); 21] {
    [
        ("model", json!("")),
        ("instructions", Value::Null),
        ("max_output_tokens", Value::Null),
        ("max_tool_calls", Value::Null),
        ("metadata", json!({})),
        ("parallel_tool_calls", json!(true)),
        ("previous_response_id", Value::Null),
        ("prompt_cache_key", Value::Null),
        ("reasoning", json!({"effort": null, "summary": null})),
        ("safety_identifier", Value::Null),
        ("service_tier", json!("default")),
        ("store", json!(true)),
        ("temperature", json!(1.0)),
        ("text", json!({"format": {"type": "text"}})),
        ("tool_choice", json!("auto")),
        ("tools", json!([])),
        ("top_logprobs", json!(0)),
        ("top_p", json!(1.0)),
        ("truncation", json!("disabled")),
        ("user", Value::Null),
        ("background", json!(false)),
    ]
}

/// Returns the usage of a response for Anthropic's; `input_tokens` includes cached tokens.
pub(super) fn usage(written: &Value) -> Value {
    let count = |path: &str| written.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let cached = count("/cache_read_input_tokens");
    let input = count("/input_tokens").saturating_add(cached).saturating_add(count("/cache_creation_input_tokens"));
    let output = count("/output_tokens");
    json!({
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": count("/output_tokens_details/reasoning_tokens")},
        "total_tokens": input.saturating_add(output),
    })
}

/// Returns why a response with Anthropic's `stop_reason` is incomplete; none if it is complete.
pub(super) fn incomplete_reason(stop_reason: &str) -> Option<&'static str> {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => Some("max_output_tokens"),
        "refusal" => Some("content_filter"),
        _ => None,
    }
}
