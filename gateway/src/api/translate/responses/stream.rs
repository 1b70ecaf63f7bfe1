//! Translates a stream of message events, or of chat completion chunks, to the events of a response.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    super::{anthropic, json::read, tool_name::ToolNames},
    expected::Expected,
    message::MessageReader,
};
use crate::api::sse::{self, Splitter};

/// Translates one stream.
#[derive(Debug)]
pub struct Responses {
    /// Translates chunks to message events first; none if the upstream sends message events.
    chunks: Option<Box<anthropic::stream::Events>>,
    splitter: Splitter,
    reader: MessageReader,
    failure: Option<&'static str>,
}

impl Responses {
    /// Returns a translator of message events of at most `most` bytes.
    pub(in super::super) fn of_messages(
        most: usize,
        expected: Arc<Expected>,
        names: Arc<ToolNames>,
        model: &str,
    ) -> Self {
        let reader = MessageReader::new(expected, names, model);
        Self { chunks: None, splitter: Splitter::new(most), reader, failure: None }
    }

    /// Returns a translator of chat completion chunks of at most `most` bytes.
    pub(in super::super) fn of_chunks(
        most: usize,
        expected: Arc<Expected>,
        messages: anthropic::stream::Expected,
    ) -> Self {
        let model = messages.model.clone();
        let reader = MessageReader::new(expected, Arc::default(), &model);
        let chunks = Some(Box::new(anthropic::stream::Events::new(most, messages)));
        // One chunk becomes several events, which may be longer.
        Self { chunks, splitter: Splitter::new(usize::MAX), reader, failure: None }
    }

    /// Takes a chunk of the upstream's stream and returns the translated text, which may be empty.
    pub fn push(&mut self, piece: Bytes) -> String {
        let piece = match &mut self.chunks {
            Some(chunks) => {
                let events = chunks.push(piece);
                self.failure = self.failure.or_else(|| chunks.failure());
                Bytes::from(events)
            }
            None => piece,
        };
        match self.splitter.push(piece) {
            Some(_) if self.splitter.is_half_out() => self.fail("the upstream sent an event that is too long"),
            Some(whole) => self.read(&whole),
            None => String::new(),
        }
    }

    /// Returns the translated text for the end of the upstream's stream.
    pub fn finish(&mut self) -> String {
        let last = match &mut self.chunks {
            Some(chunks) => {
                let events = chunks.finish();
                self.failure = self.failure.or_else(|| chunks.failure());
                events
            }
            None => String::new(),
        };
        let written = if last.is_empty() { String::new() } else { self.read(last.as_bytes()) };
        let rest = self.splitter.finish_event();
        written + &self.read(&rest)
    }

    /// Returns, once, why the rest of the stream cannot be translated.
    pub fn failure(&mut self) -> Option<&'static str> {
        self.failure.take()
    }

    fn read(&mut self, whole: &[u8]) -> String {
        for data in sse::data(whole).iter().filter(|data| !data.trim().is_empty()) {
            match read(data.as_bytes()) {
                Some(event) => self.reader.event(&event),
                None => {
                    return self.reader.output.take_events()
                        + &self.fail("the upstream sent an event that cannot be read");
                }
            }
        }
        self.reader.output.take_events()
    }

    /// Ends a stream whose rest cannot be translated.
    fn fail(&mut self, reason: &'static str) -> String {
        if !std::mem::replace(&mut self.reader.has_ended, true) {
            self.failure = Some(reason);
        }
        String::new()
    }
}
