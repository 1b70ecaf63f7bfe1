//! Translates content blocks of a message to the parts of a chat message.

use serde_json::{Value, json};

use super::{
    super::json::{text, unsupported},
    TARGET_FORMAT,
};
use crate::api::Invalid;

/// Translates message content: a string or a list of blocks.
pub(super) fn content(written: &Value, path: &str) -> Result<Value, Invalid> {
    let Some(blocks) = written.as_array() else {
        return Ok(written.clone());
    };
    let parts = blocks.iter().enumerate().map(|(idx, block)| part(block, &format!("{path}[{idx}]")));
    Ok(plain(parts.collect::<Result<_, _>>()?))
}

/// Returns a single text part as a string, which every upstream accepts.
pub(in super::super) fn plain(mut parts: Vec<Value>) -> Value {
    match (parts.pop(), parts.is_empty()) {
        (None, _) => Value::from(""),
        (Some(only), true) if text(&only, "type") == "text" => Value::from(text(&only, "text")),
        (Some(last), _) => {
            parts.push(last);
            Value::from(parts)
        }
    }
}

/// Translates one block.
pub(super) fn part(block: &Value, path: &str) -> Result<Value, Invalid> {
    let source = block.get("source").unwrap_or(&Value::Null);
    match (text(block, "type"), text(source, "type")) {
        ("text", _) => Ok(json!({"type": "text", "text": text(block, "text")})),
        ("image", "base64") => Ok(json!({"type": "image_url", "image_url": {"url": data_url(source)}})),
        ("image", "url") => Ok(json!({"type": "image_url", "image_url": {"url": source.get("url")}})),
        ("document", "text") => Ok(json!({"type": "text", "text": text(source, "data")})),
        ("document", "base64") => {
            let name = block.get("title").and_then(Value::as_str).unwrap_or("document.pdf");
            Ok(json!({"type": "file", "file": {"filename": name, "file_data": data_url(source)}}))
        }
        _ => Err(unsupported(path, TARGET_FORMAT)),
    }
}

fn data_url(source: &Value) -> String {
    let kind = match text(source, "media_type") {
        // Many programs write it; it is not registered.
        "image/jpg" => "image/jpeg",
        kind => kind,
    };
    format!("data:{kind};base64,{}", text(source, "data"))
}
