//! Reads the ids in a response of `/v1/responses` while it passes, for [`super::response_memory`].

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    read::ParsedRequest,
    response_memory::{Kept, Maker, ResponseMemory},
};
use crate::{
    api::{Fields, sse},
    upstream::{Endpoint, Protocol},
};

/// Records one response.
#[derive(Debug)]
pub(super) struct ResponseRecorder {
    memory: Arc<ResponseMemory>,
    /// The name of the client's API key.
    caller: Arc<str>,
    maker: Maker,
    /// The conversation that the request names.
    conversation: Option<String>,
    /// The new items of the request, and the response before it, if the content is kept.
    turn: Option<(Vec<String>, Option<u64>)>,
    /// The body so far, unless it is a stream.
    body: Option<Vec<Bytes>>,
    length: usize,
    most: usize,
    is_recorded: bool,
}

/// The parts of a response that are recorded.
#[derive(Debug, Deserialize)]
struct Recorded<'a> {
    id: String,
    #[serde(borrow, default)]
    output: Vec<&'a RawValue>,
}

/// The last event of a stream.
#[derive(Debug, Deserialize)]
struct LastEvent<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    response: Option<Recorded<'a>>,
}

impl ResponseRecorder {
    /// Returns a recorder of the response of `endpoint` to `request`, which is a stream if `is_stream`; at most `most` bytes of
    /// another one are read.
    pub(super) fn new(
        memory: &Arc<ResponseMemory>,
        request: &ParsedRequest<'_>,
        endpoint: &Endpoint,
        is_stream: bool,
        most: usize,
    ) -> Self {
        let caller = request.caller.name();
        let text = std::str::from_utf8(request.document.bytes()).unwrap_or_default();
        let fields = Fields::parse(text).unwrap_or_default();
        let is_translated = endpoint.upstream.protocol(request.wire) != Some(Protocol::Native);
        let is_stored = fields.find("store").is_none_or(|store| store.get() != "false");
        let turn = (is_translated && is_stored).then(|| {
            let previous = fields.string("previous_response_id").map(|id| memory.key(&caller, &id));
            (memory.own_items(&caller, &fields), previous)
        });
        let reference = request.facts.references.iter().find(|reference| reference.param == "conversation");
        Self {
            memory: Arc::clone(memory),
            caller,
            maker: Maker {
                llm: Arc::clone(&endpoint.spec.llm),
                upstream: Arc::from(endpoint.upstream.config.name.as_str()),
            },
            conversation: reference.map(|reference| reference.id.clone()),
            turn,
            body: (!is_stream).then(Vec::new),
            length: 0,
            most,
            is_recorded: false,
        }
    }

    /// Reads a piece of the response; of a stream, complete events.
    pub(super) fn read(&mut self, bytes: &Bytes) {
        if self.is_recorded {
            return;
        }
        let Some(body) = &mut self.body else {
            return self.events(bytes);
        };
        self.length += bytes.len();
        if self.length > self.most {
            self.is_recorded = true;
            body.clear();
        } else {
            body.push(bytes.clone());
        }
    }

    /// Records a response that is not a stream, at its end.
    pub(super) fn finish(&mut self) {
        let Some(body) = self.body.take().filter(|_| !self.is_recorded) else {
            return;
        };
        let body = body.concat();
        if let Ok(response) = serde_json::from_slice::<Recorded<'_>>(&body) {
            self.record(&response);
        }
    }

    fn events(&mut self, bytes: &Bytes) {
        const LAST: [&str; 2] = ["response.completed", "response.incomplete"];
        for data in sse::data(bytes).iter().filter(|data| LAST.iter().any(|last| data.contains(last))) {
            let event = serde_json::from_str::<LastEvent<'_>>(data).ok();
            let last = event.filter(|event| LAST.contains(&event.kind.as_str()));
            if let Some(response) = last.and_then(|event| event.response) {
                self.record(&response);
            }
        }
    }

    fn record(&mut self, response: &Recorded<'_>) {
        self.is_recorded = true;
        let key = |id: &str| self.memory.key(&self.caller, id);
        self.memory.record_maker(key(&response.id), self.maker.clone());
        if let Some(conversation) = &self.conversation {
            self.memory.record_maker(key(conversation), self.maker.clone());
        }
        for item in &response.output {
            let Ok(fields) = Fields::parse(item.get()) else {
                continue;
            };
            for id in ["id", "encrypted_content", "call_id"].into_iter().filter_map(|name| fields.string(name)) {
                self.memory.record_maker(key(&id), self.maker.clone());
            }
            if let (Some(id), true) = (fields.string("id"), self.turn.is_some()) {
                self.memory.keep(key(&id), Kept::Item(item.get().to_owned()));
            }
        }
        if let Some((input, previous)) = self.turn.take() {
            let output = response.output.iter().map(|item| item.get());
            let items = input.iter().map(String::as_str).chain(output).collect::<Vec<_>>().join(",");
            self.memory.keep(key(&response.id), Kept::Turn { previous, items });
        }
    }
}
