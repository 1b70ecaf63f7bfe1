//! Translates the parts of a chat message to content blocks.

use serde_json::{Value, json};

use super::{
    super::json::{text, unsupported},
    TARGET_FORMAT,
};
use crate::api::Invalid;

/// Media types of images that Anthropic takes (Messages API, `source.media_type`).
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Translates `content`: a string, or a list of parts. Anthropic refuses blank text blocks, so they are dropped.
pub(super) fn parts(content: Option<&Value>, path: &str) -> Result<Vec<Value>, Invalid> {
    let parts = match content {
        Some(Value::String(text)) => vec![json!({"type": "text", "text": text})],
        Some(Value::Array(parts)) => {
            let part = |(idx, written)| part(written, &format!("{path}[{idx}]"));
            parts.iter().enumerate().map(part).collect::<Result<_, _>>()?
        }
        _ => Vec::new(),
    };
    Ok(parts.into_iter().filter(|part| !is_blank(part)).collect())
}

fn is_blank(block: &Value) -> bool {
    block.get("text").and_then(Value::as_str).is_some_and(|text| text.trim().is_empty())
}

fn part(part: &Value, path: &str) -> Result<Value, Invalid> {
    let text_block = |name| json!({"type": "text", "text": text(part, name)});
    match text(part, "type") {
        "text" => Ok(text_block("text")),
        "refusal" => Ok(text_block("refusal")),
        "image_url" => match part.pointer("/image_url/url").and_then(Value::as_str) {
            Some(url) => image(url, path),
            None => Err(unsupported(path, TARGET_FORMAT)),
        },
        "file" => file(part.get("file").unwrap_or(&Value::Null)).ok_or_else(|| unsupported(path, TARGET_FORMAT)),
        _ => Err(unsupported(path, TARGET_FORMAT)),
    }
}

fn image(url: &str, path: &str) -> Result<Value, Invalid> {
    let source = source(url);
    let kind = text(&source, "media_type");
    if !kind.is_empty() && !IMAGES.contains(&kind) {
        let message = format!("`{path}` has the media type `{kind}`; Anthropic takes {}", IMAGES.join(", "));
        return Err(Invalid::new(path.to_owned(), message));
    }
    Ok(json!({"type": "image", "source": source}))
}

fn source(url: &str) -> Value {
    let data = url.strip_prefix("data:").and_then(|data| data.split_once(";base64,"));
    match data {
        Some((kind, data)) => json!({"type": "base64", "media_type": media_type(kind), "data": data}),
        None => json!({"type": "url", "url": url}),
    }
}

/// Returns the registered name of a media type, without parameters; many programs write `image/jpg`.
fn media_type(kind: &str) -> String {
    let kind = kind.split(';').next().unwrap_or(kind).trim().to_ascii_lowercase();
    if kind == "image/jpg" { "image/jpeg".to_owned() } else { kind }
}

/// Translates a PDF file that the request contains. Anthropic takes no other files as base64 (Messages API, `document`), and a
/// file id of another service has no equivalent.
fn file(file: &Value) -> Option<Value> {
    let source = source(text(file, "file_data"));
    let is_pdf = text(&source, "media_type") == "application/pdf";
    is_pdf.then(|| json!({"type": "document", "source": source, "title": file.get("filename")}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_text_is_dropped_and_media_types_are_registered_names() {
        let image = |kind: &str| json!({"type": "image_url", "image_url": {"url": format!("data:{kind};base64,AA")}});
        let written = json!([{"type": "text", "text": " \n"}, image("image/jpg"), image("IMAGE/PNG")]);
        let blocks = parts(Some(&written), "c").unwrap();
        let kinds: Vec<&Value> = blocks.iter().map(|block| &block["source"]["media_type"]).collect();
        assert_eq!(kinds, ["image/jpeg", "image/png"]);
        assert_eq!(parts(Some(&json!([image("image/tiff")])), "c").unwrap_err().param, "c[0]");
    }
}
