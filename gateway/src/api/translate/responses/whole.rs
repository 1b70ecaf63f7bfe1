//! Translates a whole message, or a whole chat completion, to a response, and errors of either to OpenAI's.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    super::{
        anthropic,
        json::{list, read, readable, text},
        raw_text::Inputs,
        tool_name::ToolNames,
    },
    expected::Expected,
    message::MessageReader,
    stream::Responses,
};

/// Translates the message `body`; `model` is named if the message names none.
pub(in super::super) fn of_message(
    body: &[u8],
    expected: Arc<Expected>,
    names: Arc<ToolNames>,
    model: &str,
) -> Option<String> {
    let body = readable(body)?;
    let message: Value = serde_json::from_str(&body).ok()?;
    let inputs = Inputs::of_message(&body);
    let blocks = message.get("content")?.as_array()?;
    let reader = MessageReader::new(expected, names, model);
    Some(reader.whole(&message, blocks, |idx| inputs.get(idx)).to_string())
}

/// Translates the chat completion `body`: as one chunk, so that the arguments of calls keep their text.
pub(in super::super) fn of_completion(
    body: &[u8],
    expected: Arc<Expected>,
    messages: anthropic::stream::Expected,
) -> Option<String> {
    let completion = read(body)?;
    let choice = list(&completion, "choices").first()?;
    let message = choice.get("message").filter(|message| message.is_object())?;
    let reason = Some(text(choice, "finish_reason")).filter(|reason| !reason.is_empty()).unwrap_or("stop");
    let chunk = json!({
        "id": completion.get("id"), "model": completion.get("model"), "usage": completion.get("usage"),
        "choices": [{"index": 0, "delta": numbered(message), "finish_reason": reason}],
    });
    let mut stream = Responses::of_chunks(usize::MAX, expected, messages);
    let events = stream.push(Bytes::from(format!("data: {chunk}\n\n"))) + &stream.finish();
    let events = crate::api::sse::data(events.as_bytes());
    let last: Value = serde_json::from_str(events.last()?).ok()?;
    last.get("response").map(Value::to_string)
}

/// Returns `message` with the positions of its calls, by which chunks tell them apart.
fn numbered(message: &Value) -> Value {
    let mut message = message.clone();
    if let Some(calls) = message.get_mut("tool_calls").and_then(Value::as_array_mut) {
        for (idx, call) in calls.iter_mut().enumerate() {
            if let Some(call) = call.as_object_mut() {
                call.insert("index".to_owned(), json!(idx));
            }
        }
    }
    message
}
