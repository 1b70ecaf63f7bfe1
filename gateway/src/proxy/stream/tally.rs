//! What an answer says about itself in passing: its end and its usage.

use bytes::Bytes;

use crate::api::{Usage, Wire, facts, sse, usage};

/// Most bytes of an answer in one piece that are kept for its usage, which stands at the end of even long answers.
const KEPT: usize = 4 << 20;

/// Reads along.
#[derive(Debug)]
pub(super) struct Tally {
    wire: Wire,
    events: bool,
    complete: bool,
    usage: Option<Usage>,
    kept: Vec<Bytes>,
    length: usize,
    seen: u64,
    /// Whether the answering model's name is wanted.
    wants_model: bool,
    model: Option<String>,
}

impl Tally {
    /// Returns a tally; `events` says whether the answer is a stream of events, `wants_model` whether to look for the name
    /// of the model that answers.
    pub(super) fn new(wire: Wire, events: bool, wants_model: bool) -> Self {
        let kept = Vec::new();
        Self { wire, events, complete: false, usage: None, kept, length: 0, seen: 0, wants_model, model: None }
    }

    /// Reads a piece of the answer; of an event stream, whole events.
    pub(super) fn read(&mut self, bytes: &Bytes) {
        if self.events {
            sse::data(bytes).iter().for_each(|data| self.event(data));
            return;
        }
        self.length += bytes.len();
        if self.length <= KEPT {
            self.kept.push(bytes.clone());
        }
    }

    fn event(&mut self, data: &str) {
        self.seen += 1;
        if self.wants_model && self.model.is_none() && data.contains("\"model\"") {
            self.model = usage::model(data);
        }
        self.complete |= ends(self.wire, data);
        if data.contains("\"usage\"")
            && let Some(usage) = Usage::read(data)
            // Translated streams begin with zeros, before anybody has counted.
            && usage != Usage::default()
        {
            self.usage = Some(self.usage.unwrap_or_default().merge(usage));
        }
    }

    /// Returns whether a stream of events may end here. Other answers end where HTTP says so.
    pub(super) fn is_complete(&self) -> bool {
        !self.events || self.complete
    }

    /// Returns about how many tokens the answer had: upstreams send about one in each event.
    pub(super) fn output_estimate(&self) -> u64 {
        if self.events { self.seen } else { u64::from(facts::estimate(self.length)) }
    }

    /// Returns the model that the answer says it is from, once its usage was asked for.
    pub(super) fn model(&mut self) -> Option<String> {
        self.model.take()
    }

    /// Returns the usage the answer told.
    pub(super) fn usage(&mut self) -> Option<Usage> {
        if self.events || self.length > KEPT {
            return self.usage;
        }
        let bytes = std::mem::take(&mut self.kept).concat();
        let text = std::str::from_utf8(&bytes).ok()?;
        if self.wants_model {
            self.model = usage::model(text);
        }
        Usage::read(text)
    }
}

/// Returns whether nothing need follow the event: its format's last one, or a reason to finish.
fn ends(wire: Wire, data: &str) -> bool {
    match wire {
        Wire::Chat | Wire::Completions | Wire::Embeddings => data.trim() == "[DONE]" || has_finish_reason(data),
        Wire::Responses => {
            ["response.completed", "response.failed", "response.incomplete", "error"].iter().any(|kind| {
                data.contains(&format!("\"type\":\"{kind}\"")) || data.contains(&format!("\"type\": \"{kind}\""))
            })
        }
        Wire::Messages => data.contains("\"message_stop\"") || data.contains("\"type\":\"error\""),
    }
}

/// Some upstreams never send `[DONE]`; an error event ends a stream as well.
fn has_finish_reason(data: &str) -> bool {
    let mut rest = data;
    while let Some((_, after)) = rest.split_once("\"finish_reason\"") {
        if after.trim_start().strip_prefix(':').is_some_and(|value| value.trim_start().starts_with('"')) {
            return true;
        }
        rest = after;
    }
    data.trim_start().starts_with("{\"error\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_with_its_formats_last_event_or_a_reason() {
        assert!(ends(Wire::Chat, "[DONE]"));
        assert!(ends(Wire::Chat, r#"{"choices":[{"delta":{},"finish_reason" : "stop"}]}"#));
        assert!(!ends(Wire::Chat, r#"{"choices":[{"delta":{"content":"x"},"finish_reason":null}]}"#));
        assert!(ends(Wire::Messages, r#"{"type":"message_stop"}"#));
        assert!(!ends(Wire::Messages, r#"{"type":"content_block_stop","index":0}"#));
        assert!(ends(Wire::Responses, r#"{"type":"response.completed","response":{}}"#));
    }

    #[test]
    fn usage_is_read_from_the_last_chunk_or_the_whole_answer() {
        let usage = Some(Usage { input: 3, cached: 0, output: 2 });
        let mut stream = Tally::new(Wire::Chat, true, false);
        stream.read(&Bytes::from_static(
            b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
        ));
        assert_eq!((stream.usage(), stream.is_complete()), (usage, true));
        let mut whole = Tally::new(Wire::Chat, false, true);
        whole.read(&Bytes::from_static(b"{\"model\":\"m-1\",\"usage\":{\"prompt_tok"));
        whole.read(&Bytes::from_static(b"ens\":3,\"completion_tokens\":2}}"));
        assert_eq!((whole.usage(), whole.model().as_deref()), (usage, Some("m-1")));
    }
}
