//! Event streams: however they are cut into pieces, nothing is lost, and translations say the same.

use bytes::Bytes;
use personaroute_gateway::api::{
    Wire,
    sse::{self, Splitter},
    translate::{Format, Translation},
};

use crate::body::TRANSLATED;

/// A request that is translated both ways.
const REQUEST: &[u8] = br#"{"model":"m","max_tokens":9,"stream":true,"stream_options":{"include_usage":true},
    "messages":[{"role":"user","content":"hi"}],"input":"hi"}"#;

/// More than any input: an event that passes in pieces is not one.
const MOST: usize = 1 << 20;

/// Holds the parser and both translators to the stream in `input`, whose first bytes say where it is cut.
pub fn hold(input: &[u8]) {
    let (cuts, stream) = input.split_at(input.len().min(4));
    let pieces = cut(stream, cuts);
    splits(stream, &pieces);
    for (wire, to) in TRANSLATED {
        translates(wire, to, stream, &pieces);
    }
}

/// Cuts `stream` at the places that `cuts` names.
fn cut<'a>(stream: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = stream;
    for at in cuts {
        let (piece, tail) = rest.split_at(usize::from(*at).min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

fn splits(stream: &[u8], pieces: &[&[u8]]) {
    let mut splitter = Splitter::new(MOST);
    let passed: Vec<Bytes> = pieces.iter().filter_map(|piece| splitter.push(Bytes::copy_from_slice(piece))).collect();
    let held = splitter.finish().unwrap_or_default();
    assert!(passed.iter().all(|piece| piece.ends_with(b"\n") || piece.ends_with(b"\r")), "an event is passed half");
    assert_eq!([passed.concat().as_slice(), &held].concat(), stream, "bytes are lost or changed");
    let mut events: Vec<String> = passed.iter().flat_map(|piece| sse::data(piece)).collect();
    events.extend(sse::data(&held));
    assert_eq!(events, sse::data(stream), "the cuts change the events");
}

fn translates(wire: Wire, to: Format, stream: &[u8], pieces: &[&[u8]]) {
    let Ok(translation) = Translation::of(wire, to, REQUEST) else {
        unreachable!("the request is translatable");
    };
    let read = |pieces: &[&[u8]]| {
        let mut translator = translation.stream(MOST, "m");
        let text: String = pieces.iter().map(|piece| translator.push(Bytes::copy_from_slice(piece))).collect();
        text + &translator.finish()
    };
    let whole = read(&[stream]);
    assert_eq!(read(pieces), whole, "the cuts change the translation");
    let events = sse::data(whole.as_bytes());
    let is_end = |data: &String| {
        let is_last_response = ["completed", "incomplete"]
            .iter()
            .any(|end| wire == Wire::Responses && data.starts_with(&format!("{{\"type\":\"response.{end}\"")));
        data == "[DONE]" || data == r#"{"type":"message_stop"}"# || is_last_response
    };
    let ends = events.iter().filter(|data| is_end(data)).count();
    assert!(ends <= 1 && (ends == 0 || events.last().is_some_and(is_end)), "something follows the end: {whole}");
    let is_json = |data: &&String| serde_json::from_str::<serde_json::Value>(data).is_ok();
    assert_eq!(events.iter().filter(is_json).count() + usize::from(wire == Wire::Chat) * ends, events.len());
    let is_broken = events.iter().any(|data| data.contains("\"type\":\"error\",\"error\":{\"type\":\"api_error\""));
    assert!(wire != Wire::Messages || !is_broken || ends == 0, "a broken stream ends as if it were whole: {whole}");
}
