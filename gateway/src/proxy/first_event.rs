//! Waits for the first meaningful event of a stream, which decides whether a response has started.
//!
//! Until then the client has received nothing, so a stream that begins with an error, or ends after nothing but comments, can
//! still fail over.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use serde_json::Value;

use crate::{
    api::{
        sse::{self, Splitter},
        translate::json::stream_error,
    },
    upstream::{Body, Failure},
};

/// A byte order mark, which readers of event streams skip (HTML Standard, "Parsing an event stream").
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The limits of what precedes the first event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Longest wait between two chunks.
    pub(super) idle: Duration,
    /// Most bytes before and of the first event; a longer one counts as meaningful.
    pub(super) max_bytes: usize,
}

/// Reads `body`, which starts with `first`, up to its first meaningful event, and returns the bytes read as a frame.
///
/// # Errors
///
/// Fails if the first meaningful event is an error, if what arrives is no event stream, or if the body ends before.
pub(super) async fn first_event(
    first: Option<Frame<Bytes>>,
    body: &mut Body,
    limits: Limits,
) -> Result<Frame<Bytes>, Failure> {
    let mut splitter = Splitter::new(limits.max_bytes);
    let mut read = Chunks::default();
    let mut next = first;
    while let Some(frame) = next.take() {
        let mut data = frame.into_data().unwrap_or_default();
        if read.length == 0 && data.starts_with(BYTE_ORDER_MARK) {
            data = data.slice(BYTE_ORDER_MARK.len()..);
        }
        read.push(data.clone());
        let whole = splitter.push(data);
        if let Some(is_error) = whole.as_deref().and_then(meaning) {
            return started(read, is_error);
        }
        if splitter.is_half_out() || read.length > limits.max_bytes {
            let is_json = read.starts_as_json();
            return started(read, is_json);
        }
        let frame = tokio::time::timeout(limits.idle, body.frame()).await.map_err(|_| Failure::FirstByte)?;
        next = frame.transpose().map_err(Failure::Closed)?;
    }
    // The last event may lack its blank line.
    match meaning(&splitter.finish_event()) {
        Some(is_error) if !read.starts_as_json() => started(read, is_error),
        _ => Err(Failure::Unreadable),
    }
}

fn started(read: Chunks, is_error: bool) -> Result<Frame<Bytes>, Failure> {
    if is_error { Err(Failure::Unreadable) } else { Ok(Frame::data(read.join())) }
}

/// What was read so far. One chunk, the usual case, is returned as it came.
#[derive(Default)]
struct Chunks {
    chunks: Vec<Bytes>,
    length: usize,
}

impl Chunks {
    fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.length += chunk.len();
            self.chunks.push(chunk);
        }
    }

    fn join(mut self) -> Bytes {
        match self.chunks.pop() {
            Some(only) if self.chunks.is_empty() => only,
            Some(last) => {
                self.chunks.push(last);
                Bytes::from(self.chunks.concat())
            }
            None => Bytes::new(),
        }
    }

    /// Some servers send an error object as it is under the media type of the stream.
    fn starts_as_json(&self) -> bool {
        let first = self.chunks.iter().flatten().find(|byte| !byte.is_ascii_whitespace());
        matches!(first, Some(b'{' | b'['))
    }
}

/// Returns whether the first meaningful event of `events` is an error; none if there is none.
fn meaning(events: &[u8]) -> Option<bool> {
    sse::data(events).iter().find_map(|data| {
        let data = data.trim();
        if data.is_empty() {
            return None;
        }
        // The end mark before any event is no response.
        if data == "[DONE]" {
            return Some(true);
        }
        let parsed = may_be_special(data).then(|| serde_json::from_str::<Value>(data).ok()).flatten();
        let Some(event) = parsed else {
            return Some(false);
        };
        match event.get("type").and_then(Value::as_str) {
            Some("ping") => None,
            Some("response.failed") => Some(true),
            _ => Some(stream_error(&event).is_some()),
        }
    })
}

/// Returns whether `data` has a word without which no event is a ping or an error, or an escape, which may hide one. Most
/// events have none and need no parsing.
fn may_be_special(data: &str) -> bool {
    ["\\", "\"ping\"", "response.failed", "\"error\"", "\"detail\"", "\"message\""]
        .iter()
        .any(|word| data.contains(word))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;

    async fn read(pieces: &[&'static [u8]]) -> Result<Bytes, Failure> {
        let frames = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece))));
        let mut body = Body::new(StreamBody::new(stream::iter(frames.collect::<Vec<_>>())));
        let limits = Limits { idle: Duration::from_secs(1), max_bytes: 1_000 };
        let first = body.frame().await.transpose().unwrap();
        let frame = first_event(first, &mut body, limits).await?;
        Ok(frame.into_data().unwrap())
    }

    #[tokio::test]
    async fn comments_pings_and_a_byte_order_mark_precede_the_first_event() {
        let pieces: [&[u8]; 3] =
            [b"\xEF\xBB\xBF: hold on\n\n", b"event: ping\ndata: {\"type\":\"ping\"}\n\n", b"data: {\"id\":\"c\"}\n\n"];
        let read = read(&pieces).await.unwrap();
        assert!(read.starts_with(b": hold on") && read.ends_with(b"{\"id\":\"c\"}\n\n"), "{read:?}");
    }

    #[tokio::test]
    async fn an_error_in_any_vendors_shape_is_a_failure() {
        for piece in [
            "data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n",
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n",
            "data: {\"object\":\"error\",\"message\":\"x\"}\n\n",
            "data: {\"detail\":\"x\"}\n\n",
            "data: {\"message\":\"x\",\"type\":\"invalid_request_error\"}\n\n",
            "data: {\"type\":\"response.failed\",\"response\":{}}\n\n",
            "data: [DONE]\n\n",
            ": only\n\n: comments\n\n",
            "{\"error\":{\"message\":\"CUDA out of memory\"}}",
        ] {
            assert!(matches!(read(&[piece.as_bytes()]).await, Err(Failure::Unreadable)), "{piece}");
        }
    }

    #[tokio::test]
    async fn a_last_event_without_its_blank_line_counts() {
        assert!(read(&[b"data: {\"choices\":[]}"]).await.is_ok());
    }
}
