//! Translates the content of input items to the parts of chat messages.

use serde_json::{Value, json};

use super::super::{
    Format,
    json::{text, unsupported},
};
use crate::api::Invalid;

/// Translates `content`: a string, or a list of parts.
pub(super) fn parts(content: &Value, to: Format, path: &str) -> Result<Vec<Value>, Invalid> {
    match content {
        Value::String(text) => Ok(vec![json!({"type": "text", "text": text})]),
        Value::Array(parts) => {
            parts.iter().enumerate().map(|(idx, written)| part(written, to, &format!("{path}[{idx}]"))).collect()
        }
        Value::Null => Ok(Vec::new()),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(Invalid::new(path.to_owned(), format!("`{path}` must be a string or a list of parts")))
        }
    }
}

fn part(part: &Value, to: Format, path: &str) -> Result<Value, Invalid> {
    match text(part, "type") {
        "input_text" | "output_text" | "text" => Ok(json!({"type": "text", "text": text(part, "text")})),
        "refusal" => Ok(json!({"type": "text", "text": text(part, "refusal")})),
        "input_image" => image(part, to, path),
        "input_file" => file(part, to, path),
        "input_audio" if to == Format::Openai => Ok(part.clone()),
        _ => Err(unsupported(path, to.name())),
    }
}

/// Translates an image. One that is stored at a service has no equivalent.
fn image(part: &Value, to: Format, path: &str) -> Result<Value, Invalid> {
    let url = text(part, "image_url");
    if url.is_empty() {
        return Err(unsupported(format!("{path}.file_id"), to.name()));
    }
    let mut image = json!({"url": url});
    if let (Some(image), Some(detail)) = (image.as_object_mut(), part.get("detail").filter(|detail| detail.is_string()))
    {
        image.insert("detail".to_owned(), detail.clone());
    }
    Ok(json!({"type": "image_url", "image_url": image}))
}

/// Translates a file that the request contains.
fn file(part: &Value, to: Format, path: &str) -> Result<Value, Invalid> {
    let data = text(part, "file_data");
    if data.is_empty() {
        let name = if text(part, "file_url").is_empty() { "file_id" } else { "file_url" };
        return Err(unsupported(format!("{path}.{name}"), to.name()));
    }
    let name = Some(text(part, "filename")).filter(|name| !name.is_empty()).unwrap_or("document.pdf");
    Ok(json!({"type": "file", "file": {"filename": name, "file_data": data}}))
}
