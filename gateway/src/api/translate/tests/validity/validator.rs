//! What the vendors' validators take, as their API references state it: the faults that each would report.

use serde_json::Value;

/// Returns the faults that Anthropic's validator finds in a messages request (Messages API, "Create a message").
pub(super) fn messages(request: &Value) -> Vec<String> {
    let mut faults = Faults::default();
    faults.expect(request["max_tokens"].as_u64().is_some_and(|most| most > 0), "max_tokens");
    let temperature = &request["temperature"];
    faults
        .expect(temperature.is_null() || temperature.as_f64().is_some_and(|t| (0.0..=1.0).contains(&t)), "temperature");
    faults.expect(temperature.is_null() || request["top_p"].is_null(), "temperature beside top_p");
    faults.expect(request["top_p"].is_null() || request["top_p"].is_number(), "top_p");
    for stop in list(&request["stop_sequences"]) {
        faults.expect(stop.as_str().is_some_and(|stop| !stop.trim().is_empty()), "stop_sequences");
    }
    let user = &request["metadata"]["user_id"];
    faults.expect(user.is_null() || user.as_str().is_some_and(|user| is_opaque(user, 256)), "metadata.user_id");
    for block in list(&request["system"]) {
        faults.expect(is_text(block), "system");
    }
    turns(list(&request["messages"]), &mut faults);
    for tool in list(&request["tools"]) {
        faults.expect(is_name(&tool["name"], 128), "tools[].name");
        faults.expect(tool["input_schema"]["type"] == "object", "tools[].input_schema");
        faults.expect(tool["description"].is_null() || is_filled(&tool["description"]), "tools[].description");
    }
    faults.expect(request["tool_choice"].is_null() || !list(&request["tools"]).is_empty(), "tool_choice without tools");
    faults.0
}

fn turns(turns: &[Value], faults: &mut Faults) {
    let role = |turn: Option<&Value>| turn.map_or("", |turn| turn["role"].as_str().unwrap_or_default()).to_owned();
    faults
        .expect(role(turns.first()) == "user" && role(turns.last()) == "user", "messages start and end with the user");
    faults.expect(turns.windows(2).all(|pair| pair[0]["role"] != pair[1]["role"]), "roles alternate");
    let mut seen = Vec::new();
    for turn in turns {
        let blocks = list(&turn["content"]);
        faults.expect(!blocks.is_empty(), "empty content");
        for block in blocks {
            match block["type"].as_str().unwrap_or_default() {
                "text" => faults.expect(is_text(block), "a blank text block"),
                "tool_use" => {
                    faults.expect(is_name(&block["id"], usize::MAX), "tool_use.id");
                    faults.expect(!seen.contains(&&block["id"]), "tool_use.id is used twice");
                    faults.expect(is_name(&block["name"], 128) && block["input"].is_object(), "tool_use");
                    seen.push(&block["id"]);
                }
                "tool_result" => faults.expect(seen.contains(&&block["tool_use_id"]), "tool_result.tool_use_id"),
                "image" => faults.expect(is_image(&block["source"]), "image.source"),
                kind => faults.expect(kind == "document", kind),
            }
        }
    }
}

fn is_image(source: &Value) -> bool {
    let kinds = ["image/jpeg", "image/png", "image/gif", "image/webp"];
    match source["type"].as_str() {
        Some("base64") => source["media_type"].as_str().is_some_and(|kind| kinds.contains(&kind)),
        _ => source["url"].is_string(),
    }
}

/// Returns the faults that OpenAI's validator finds in a chat completion request (Chat API, "Create chat completion").
pub(super) fn chat(request: &Value) -> Vec<String> {
    let mut faults = Faults::default();
    let most = &request["max_completion_tokens"];
    faults.expect(most.is_null() || most.as_u64().is_some_and(|most| most > 0), "max_completion_tokens");
    for name in ["temperature", "top_p"] {
        faults.expect(request[name].is_null() || request[name].is_number(), name);
    }
    let stops = list(&request["stop"]);
    faults.expect(stops.len() <= 4 && stops.iter().all(is_filled), "stop");
    faults
        .expect(request["user"].is_null() || request["user"].as_str().is_some_and(|user| is_opaque(user, 64)), "user");
    let written = list(&request["messages"]);
    faults.expect(written.last().is_some_and(|last| last["role"] != "assistant"), "the last message");
    let mut seen = Vec::new();
    for message in written {
        for call in list(&message["tool_calls"]) {
            let arguments = call["function"]["arguments"].as_str().unwrap_or("none");
            faults.expect(serde_json::from_str::<Value>(arguments).is_ok(), "tool_calls[].function.arguments");
            faults.expect(is_name(&call["function"]["name"], 64), "tool_calls[].function.name");
            faults.expect(
                call["id"].as_str().is_some_and(|id| !id.is_empty() && id.chars().count() <= 40),
                "tool_calls[].id",
            );
            seen.push(&call["id"]);
        }
        match message["role"].as_str().unwrap_or_default() {
            "tool" => faults.expect(seen.contains(&&message["tool_call_id"]), "tool_call_id"),
            "assistant" => {
                let is_silent = message["content"].is_null();
                faults.expect(!is_silent || !list(&message["tool_calls"]).is_empty(), "content is null without calls");
            }
            role => {
                faults.expect(matches!(role, "system" | "user") && !message["content"].is_null(), "role and content");
            }
        }
    }
    for tool in list(&request["tools"]) {
        let function = &tool["function"];
        faults.expect(is_name(&function["name"], 64), "tools[].function.name");
        let parameters = &function["parameters"];
        faults.expect(
            parameters["type"] == "object" && parameters["properties"].is_object(),
            "tools[].function.parameters",
        );
        let closed = parameters["additionalProperties"] == false && parameters["required"].is_array();
        faults.expect(function["strict"] != true || closed, "strict that cannot hold");
    }
    faults.0
}

/// The faults found so far.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn expect(&mut self, holds: bool, what: &str) {
        if !holds {
            self.0.push(what.to_owned());
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn is_filled(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

fn is_text(block: &Value) -> bool {
    block["text"].as_str().is_some_and(|text| !text.trim().is_empty())
}

/// Both vendors: `^[a-zA-Z0-9_-]+$`.
fn is_name(name: &Value, longest: usize) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    name.as_str().is_some_and(|name| !name.is_empty() && name.len() <= longest && name.bytes().all(is_allowed))
}

/// Neither an e-mail address nor a name with spaces, and without a session.
fn is_opaque(user: &str, longest: usize) -> bool {
    user.chars().count() <= longest && !user.contains(['@', ' ', '{']) && !user.contains("_session_")
}
