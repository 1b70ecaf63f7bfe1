//! Request bodies: read without a panic, rewritten in one place only, translated into what the other side can read.

use std::collections::BTreeMap;

use bytes::Bytes;
use personaroute_gateway::api::{
    Document, Facts, Fields, Usage, Wire, route,
    translate::{Dialect, Format, Translation},
};
use serde::de::IgnoredAny;
use serde_json::{Value, value::RawValue};

/// A model's name that has to be escaped.
const NAME: &str = "a \"name\"\n";

/// The formats that are translated, and into which.
pub(crate) const TRANSLATED: [(Wire, Format); 4] = [
    (Wire::Chat, Format::Anthropic),
    (Wire::Messages, Format::Openai),
    (Wire::Responses, Format::Anthropic),
    (Wire::Responses, Format::Openai),
];

/// Holds the readers and the rewriter to `input` as a body.
pub fn hold(input: &[u8]) {
    let _read = Usage::read(&String::from_utf8_lossy(input));
    for (wire, to) in TRANSLATED {
        translates(wire, to, input);
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let _read = route::read(text, 8);
    let is_object = serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text).is_ok();
    let Ok(fields) = Fields::parse(text) else {
        assert!(!is_object, "an object is refused");
        return;
    };
    assert!(is_object, "what is no object is taken for one");
    for wire in [Wire::Chat, Wire::Completions, Wire::Embeddings, Wire::Responses, Wire::Messages] {
        let _read = Facts::read(wire, &fields);
    }
    rewrites(text);
}

fn rewrites(text: &str) {
    let rewrite = |text: &str| {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let Ok(text) = std::str::from_utf8(&bytes) else {
            unreachable!("it was text before");
        };
        let fields = Fields::parse(text).unwrap_or_default();
        let rewritten = Document::new(bytes.clone(), &fields).with_model(NAME);
        String::from_utf8_lossy(&rewritten).into_owned()
    };
    let rewritten = rewrite(text);
    assert_eq!(rewrite(&rewritten), rewritten, "rewriting twice is not rewriting once");
    let (Ok(mut before), Ok(mut after)) = (read(text), read(&rewritten)) else {
        unreachable!("a body is not readable after its model was rewritten: {rewritten}");
    };
    let had_model = before.remove("model").is_some();
    let model = after.remove("model").and_then(|model| serde_json::from_str::<String>(model.get()).ok());
    assert_eq!(model.as_deref(), had_model.then_some(NAME));
    let same = |(name, value): (&String, &&RawValue)| after.get(name).is_some_and(|other| other.get() == value.get());
    assert!(before.len() == after.len() && before.iter().all(same), "another field changed");
}

fn read(text: &str) -> serde_json::Result<BTreeMap<String, &RawValue>> {
    serde_json::from_str(text)
}

fn translates(wire: Wire, to: Format, input: &[u8]) {
    let plain = br#"{"messages":[{"role":"user","content":"hi"}],"input":"hi"}"#;
    if let Ok(translation) = Translation::of(wire, to, plain) {
        let _read = translation.response(input, NAME);
        let _read = translation.error(500, Bytes::copy_from_slice(input));
    }
    let Ok(translation) = Translation::of(wire, to, input) else {
        return;
    };
    for reasons in [true, false] {
        let body = translation.body(NAME, Dialect { reasons, has_old_output_limit: reasons });
        let read: Value = serde_json::from_slice(&body).unwrap_or_default();
        assert_eq!(read.get("model"), Some(&Value::from(NAME)), "{}", String::from_utf8_lossy(&body));
        for to in Format::ALL {
            let _back = Translation::of(translation.wire(), to, &body);
        }
    }
}
