//! Parses the end, the usage and the model of a response while it passes.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};

use crate::api::{Usage, Wire, facts, sse, usage};

/// Most bytes of a response without events that are kept for parsing: the last ones, as usage is at the end.
const MAX_KEPT: usize = 4 << 20;

/// Whether a stream of events has reached its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum StreamEnd {
    /// More events must follow.
    NotReached,
    /// The response is complete; some upstreams send nothing more.
    Possible,
    /// The last event of the format, or an error event.
    Final,
}

/// The parser of one response.
#[derive(Debug)]
pub(super) struct UsageParser {
    wire: Wire,
    events: bool,
    end: StreamEnd,
    usage: Option<Usage>,
    kept: VecDeque<Bytes>,
    /// The bytes in `kept`.
    kept_bytes: usize,
    length: usize,
    events_seen: u64,
    /// Whether to parse the model name.
    wants_model: bool,
    model: Option<String>,
    /// The finish marks of the choices; none if the request asks for one choice.
    choices: Option<Choices>,
    /// Whether the end mark came before each choice had finished.
    is_cut_short: bool,
}

/// The finished choices of a stream, by index.
#[derive(Debug)]
struct Choices {
    /// The number of choices that the request asks for.
    expected: usize,
    finished: BTreeSet<u64>,
}

impl Choices {
    /// Notes the choices that finish in an event, and returns whether each has finished.
    fn note(&mut self, data: &str) -> bool {
        if has_finish_reason(data) {
            let finished = serde_json::from_str::<Chunk>(data).unwrap_or_default().choices.into_iter();
            let finished =
                finished.filter(|choice| choice.finish_reason.as_ref().is_some_and(|reason| !reason.is_empty()));
            self.finished.extend(finished.map(|choice| choice.index));
        }
        self.finished.len() >= self.expected
    }
}

/// The parts of a chunk that tell choices apart.
#[derive(Debug, Default, Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    finish_reason: Option<String>,
}

impl UsageParser {
    /// Returns a parser; `events` is whether the response is a stream of events, `wants_model` whether to parse the model
    /// name.
    pub(super) fn new(wire: Wire, events: bool, wants_model: bool) -> Self {
        Self {
            wire,
            events,
            end: StreamEnd::NotReached,
            usage: None,
            kept: VecDeque::new(),
            kept_bytes: 0,
            length: 0,
            events_seen: 0,
            wants_model,
            model: None,
            choices: None,
            is_cut_short: false,
        }
    }

    /// Returns the same parser for a response with several choices, each of which must finish.
    pub(super) fn with_choices(mut self, choices: u32) -> Self {
        let has_choices = matches!(self.wire, Wire::Chat | Wire::Completions) && choices > 1;
        let expected = usize::try_from(choices).unwrap_or(usize::MAX);
        self.choices = has_choices.then(|| Choices { expected, finished: BTreeSet::new() });
        self
    }

    /// Returns whether the stream's end mark came before each choice had finished.
    pub(super) fn is_cut_short(&self) -> bool {
        self.is_cut_short
    }

    /// Parses a chunk of the response; of an event stream, complete events.
    pub(super) fn read(&mut self, bytes: &Bytes) {
        if self.events {
            sse::data(bytes).iter().for_each(|data| self.event(data));
            return;
        }
        self.length += bytes.len();
        self.kept_bytes += bytes.len();
        self.kept.push_back(bytes.clone());
        while let Some(first) = self.kept.front().filter(|first| self.kept_bytes - first.len() >= MAX_KEPT) {
            self.kept_bytes -= first.len();
            self.kept.pop_front();
        }
    }

    fn event(&mut self, data: &str) {
        self.events_seen += 1;
        if self.wants_model && self.model.is_none() && data.contains("\"model\"") {
            self.model = usage::model(data);
        }
        let mut end = end(self.wire, data);
        if let Some(choices) = &mut self.choices
            && !choices.note(data)
        {
            end = if end == StreamEnd::Possible { StreamEnd::NotReached } else { end };
        }
        // The end mark alone does not say that the response is complete.
        if end == StreamEnd::Final && self.end == StreamEnd::NotReached && is_end_mark(data) {
            self.is_cut_short = true;
            return;
        }
        self.end = self.end.max(end);
        if data.contains("\"usage\"")
            && let Some(usage) = Usage::read(data).filter(is_counted)
        {
            self.usage = Some(self.usage.unwrap_or_default().merge(usage));
        }
    }

    /// Returns whether the response may end here. Responses without events end where HTTP ends them.
    pub(super) fn is_complete(&self) -> bool {
        !self.events || self.end >= StreamEnd::Possible
    }

    /// Returns whether a stream has sent its last event, so that nothing can be missing.
    pub(super) fn has_ended(&self) -> bool {
        self.events && self.end == StreamEnd::Final
    }

    /// Returns the number of events so far.
    pub(super) fn events_seen(&self) -> u64 {
        self.events_seen
    }

    /// Returns the estimated output tokens; upstreams send about one token per event.
    pub(super) fn output_estimate(&self) -> u64 {
        if self.wire == Wire::Embeddings {
            return 0;
        }
        if self.events { self.events_seen } else { u64::from(facts::estimate_tokens(self.length)) }
    }

    /// Returns the model name of the response; call [`Self::usage`] first.
    pub(super) fn model(&mut self) -> Option<String> {
        self.model.take()
    }

    /// Returns the usage that the response reports.
    pub(super) fn usage(&mut self) -> Option<Usage> {
        if self.events {
            return self.usage;
        }
        let is_whole = self.length == self.kept_bytes;
        self.kept_bytes = 0;
        let bytes = match <[Bytes; 1]>::try_from(Vec::from(std::mem::take(&mut self.kept))) {
            Ok([only]) => only,
            Err(pieces) => Bytes::from(pieces.concat()),
        };
        if !is_whole {
            return Usage::read_last(&String::from_utf8_lossy(&bytes)).filter(is_counted);
        }
        let text = std::str::from_utf8(&bytes).ok()?;
        if self.wants_model {
            self.model = usage::model(text);
        }
        Usage::read_whole(text).filter(is_counted)
    }
}

/// Translations and some upstreams report zeros if they have no counts.
fn is_counted(usage: &Usage) -> bool {
    *usage != Usage::default()
}

/// The fields of an event that mark the end of a stream.
#[derive(Debug, Default, Deserialize)]
struct EndMarkers {
    #[serde(rename = "type")]
    kind: Option<String>,
    error: Option<IgnoredAny>,
}

/// Returns whether an event ends its stream.
fn end(wire: Wire, data: &str) -> StreamEnd {
    // Most events do not end the stream, and a search for the words avoids parsing them.
    let markers = |words: &[&str]| match words.iter().any(|word| data.contains(word)) {
        true => serde_json::from_str::<EndMarkers>(data).unwrap_or_default(),
        false => EndMarkers::default(),
    };
    let is_final = match wire {
        Wire::Chat | Wire::Completions | Wire::Embeddings => {
            if has_finish_reason(data) {
                return StreamEnd::Possible;
            }
            is_end_mark(data) || markers(&["\"error\""]).error.is_some()
        }
        Wire::Responses => {
            let words = ["\"response.completed\"", "\"response.failed\"", "\"response.incomplete\"", "\"error\""];
            let last = ["response.completed", "response.failed", "response.incomplete", "error"];
            markers(&words).kind.is_some_and(|kind| last.contains(&kind.as_str()))
        }
        Wire::Messages => {
            let markers = markers(&["\"message_stop\"", "\"error\""]);
            markers.kind.is_some_and(|kind| kind == "message_stop" || kind == "error")
        }
    };
    if is_final { StreamEnd::Final } else { StreamEnd::NotReached }
}

fn is_end_mark(data: &str) -> bool {
    data.trim() == "[DONE]"
}

fn has_finish_reason(data: &str) -> bool {
    let mut rest = data;
    while let Some((_, after)) = rest.split_once("\"finish_reason\"") {
        let value = after.trim_start().strip_prefix(':').map_or("", str::trim_start);
        if value.starts_with('"') && !value.starts_with("\"\"") {
            return true;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_with_the_last_event_of_its_format_or_a_finish_reason() {
        assert_eq!(end(Wire::Chat, "[DONE]"), StreamEnd::Final);
        assert_eq!(end(Wire::Chat, r#"{"choices":[{"delta":{},"finish_reason" : "stop"}]}"#), StreamEnd::Possible);
        for open in [r#""finish_reason":null"#, r#""finish_reason":"""#, r#""error":null"#] {
            assert_eq!(
                end(Wire::Chat, &format!(r#"{{"choices":[{{"delta":{{"content":"x"}},{open}}}]}}"#)),
                StreamEnd::NotReached
            );
        }
        assert_eq!(end(Wire::Messages, r#"{"type":"message_stop"}"#), StreamEnd::Final);
        assert_eq!(end(Wire::Messages, r#"{"type":"content_block_stop","index":0}"#), StreamEnd::NotReached);
        assert_eq!(
            end(Wire::Messages, r#"{"type":"content_block_delta","delta":{"text":"\"message_stop\""}}"#),
            StreamEnd::NotReached
        );
        assert_eq!(end(Wire::Responses, r#"{"type":"response.completed","response":{}}"#), StreamEnd::Final);
    }

    #[test]
    fn each_of_several_choices_must_finish() {
        let chunk = |index: u32, reason: &str| {
            Bytes::from(format!(
                "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":{reason}}}]}}\n\n"
            ))
        };
        let read = |events: &[Bytes]| {
            let mut parser = UsageParser::new(Wire::Chat, true, false).with_choices(2);
            events.iter().for_each(|event| parser.read(event));
            (parser.is_complete(), parser.has_ended(), parser.is_cut_short())
        };
        let done = Bytes::from_static(b"data: [DONE]\n\n");
        let half = [chunk(0, "null"), chunk(1, "null"), chunk(0, "\"stop\"")];
        assert_eq!(read(&half), (false, false, false));
        assert_eq!(read(&[&half[..], std::slice::from_ref(&done)].concat()), (false, false, true));
        let whole = [&half[..], &[chunk(1, "\"length\"")]].concat();
        assert_eq!(read(&whole), (true, false, false));
        assert_eq!(read(&[&whole[..], std::slice::from_ref(&done)].concat()), (true, true, false));
        let only_one_began = [chunk(0, "null"), chunk(0, "\"stop\""), done];
        assert_eq!(read(&only_one_began), (false, false, true));
    }

    #[test]
    fn the_end_mark_alone_does_not_complete_a_stream() {
        let read = |text: &'static str| {
            let mut parser = UsageParser::new(Wire::Chat, true, false);
            parser.read(&Bytes::from_static(text.as_bytes()));
            (parser.is_complete(), parser.is_cut_short())
        };
        let open = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\ndata: [DONE]\n\n";
        assert_eq!(read(open), (false, true));
        assert_eq!(read("data: {\"error\":{\"message\":\"m\"}}\n\ndata: [DONE]\n\n"), (true, false));
    }

    #[test]
    fn error_events_end_a_stream() {
        assert_eq!(end(Wire::Chat, r#"{"id": "c", "error": {"message": "m"}}"#), StreamEnd::Final);
        assert_eq!(
            end(Wire::Messages, r#"{"type": "error", "error": {"type": "overloaded_error"}}"#),
            StreamEnd::Final
        );
        assert_eq!(end(Wire::Responses, r#"{"sequence_number": 1, "type": "error"}"#), StreamEnd::Final);
    }

    #[test]
    fn the_usage_of_long_responses_is_at_the_end_and_zeros_are_no_usage() {
        let mut long = UsageParser::new(Wire::Embeddings, false, false);
        long.read(&Bytes::from_static(b"{\"data\":[\""));
        (0..6).for_each(|_| long.read(&Bytes::from(vec![b'A'; 1 << 20])));
        long.read(&Bytes::from_static(b"\"],\"usage\": {\"prompt_tokens\": 700, \"total_tokens\": 700}}"));
        assert_eq!((long.usage(), long.output_estimate()), (Some(Usage { input: 700, cached: 0, output: 0 }), 0));
        let mut uncounted = UsageParser::new(Wire::Messages, false, false);
        uncounted.read(&Bytes::from_static(b"{\"content\":[],\"usage\":{\"input_tokens\":0,\"output_tokens\":0}}"));
        assert_eq!(uncounted.usage(), None);
    }

    #[test]
    fn usage_is_parsed_from_the_last_chunk_or_the_whole_response() {
        let usage = Some(Usage { input: 3, cached: 0, output: 2 });
        let mut stream = UsageParser::new(Wire::Chat, true, false);
        stream.read(&Bytes::from_static(
            b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
              data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
        ));
        assert_eq!((stream.usage(), stream.is_complete()), (usage, true));
        let mut whole = UsageParser::new(Wire::Chat, false, true);
        whole.read(&Bytes::from_static(b"{\"model\":\"m-1\",\"usage\":{\"prompt_tok"));
        whole.read(&Bytes::from_static(b"ens\":3,\"completion_tokens\":2}}"));
        assert_eq!((whole.usage(), whole.model().as_deref()), (usage, Some("m-1")));
    }
}
