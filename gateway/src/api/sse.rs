//! Server-sent events: finds where events end and what data they carry. It never changes bytes.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, header};

/// Splits a byte stream after complete events and holds back an incomplete one, so that a stream that the upstream
/// truncates can still end with a well-formed error event.
#[derive(Debug)]
pub struct Splitter {
    /// Most bytes that are held back. A longer event, for example one with an image, passes in pieces.
    most: usize,
    rest: BytesMut,
    /// Bytes of `rest` that contain no event end.
    searched: usize,
    is_half_out: bool,
}

impl Splitter {
    /// Returns a splitter that holds back at most about `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { most, rest: BytesMut::new(), searched: 0, is_half_out: false }
    }

    /// Takes `chunk` and returns the bytes up to the last complete event, if any.
    pub fn push(&mut self, chunk: Bytes) -> Option<Bytes> {
        // The usual case: a chunk consists of complete events.
        if self.rest.is_empty() && end_of_last_event(&chunk) == Some(chunk.len()) {
            self.is_half_out = false;
            return Some(chunk);
        }
        self.rest.extend_from_slice(&chunk);
        match self.end() {
            Some(end) => {
                self.is_half_out = false;
                self.searched = self.rest.len() - end;
                Some(self.rest.split_to(end).freeze())
            }
            None if self.rest.len() > self.most => {
                self.is_half_out = true;
                self.searched = 0;
                Some(self.rest.split().freeze())
            }
            None => {
                self.searched = self.rest.len();
                None
            }
        }
    }

    /// Returns whether a part of an event has passed whose end is missing, because the event is too long to hold back.
    pub fn is_half_out(&self) -> bool {
        self.is_half_out
    }

    /// Returns the end of the bytes that may pass: complete events, and the keep-alive comments after them.
    fn end(&self) -> Option<usize> {
        // A blank line may start in the last bytes searched, so the search starts a few bytes before.
        let from = self.searched.saturating_sub(3);
        let mut end = end_of_last_event(self.rest.get(from..)?).map(|end| from + end);
        while end.is_some() || !self.is_half_out {
            let start = end.unwrap_or(0);
            let rest = self.rest.get(start..).filter(|rest| rest.starts_with(b":"));
            let searched = self.searched.saturating_sub(start);
            let Some(newline) = rest.and_then(|rest| rest.get(searched..)?.iter().position(|byte| is_newline(*byte)))
            else {
                break;
            };
            let behind = start + searched + newline + 1;
            let is_crlf = self.rest.get(behind - 1..=behind).is_some_and(|newlines| newlines == b"\r\n");
            end = Some(behind + usize::from(is_crlf));
        }
        end
    }

    /// Returns the incomplete event that is held back when the stream ends.
    pub fn finish(&mut self) -> Option<Bytes> {
        self.searched = 0;
        (!self.rest.is_empty()).then(|| self.rest.split().freeze())
    }

    /// Returns the bytes held back as a complete event, as the last event may lack its blank line.
    pub fn finish_event(&mut self) -> Vec<u8> {
        let rest = self.finish().unwrap_or_default();
        [&rest, b"\n\n".as_slice()].concat()
    }
}

/// The media type of a stream of events.
const KIND: &[u8] = b"text/event-stream";

/// Returns whether `headers` declare an event stream that can be parsed; a compressed one is only passed on.
pub fn is_stream(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let is_plain = matches!(text(header::CONTENT_ENCODING), "" | "identity");
    let kind = text(header::CONTENT_TYPE).as_bytes();
    is_plain && kind.get(..KIND.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(KIND))
}

/// Returns the index after the last blank line of `bytes`.
fn end_of_last_event(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    loop {
        let newline = bytes.get(..end)?.iter().rposition(|byte| is_newline(*byte))?;
        let before = bytes.get(..newline).unwrap_or_default();
        let is_crlf = before.ends_with(b"\r") && bytes.get(newline) == Some(&b'\n');
        let line_end = if is_crlf { before.get(..before.len() - 1).unwrap_or_default() } else { before };
        if line_end.last().is_some_and(|byte| is_newline(*byte)) {
            return Some(newline + 1);
        }
        end = newline;
    }
}

fn is_newline(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Returns the data of each event in `bytes`, which must be complete events. Several data lines of an event are joined.
pub fn data(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut events = Vec::new();
    let mut data: Option<String> = None;
    for line in lines(&text) {
        if line.is_empty() {
            events.extend(data.take());
        } else if let Some(value) = line.strip_prefix("data:") {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => data = Some(value.to_owned()),
            }
        }
    }
    events
}

/// Lines end in LF, CRLF or CR.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(end) = rest.find(['\n', '\r']) else {
            return Some(std::mem::take(&mut rest));
        };
        let (line, tail) = rest.split_at_checked(end)?;
        rest = tail.strip_prefix("\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pass(chunks: &[&str]) -> (Vec<String>, Option<String>) {
        let mut splitter = Splitter::new(64);
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let passed = chunks.iter().filter_map(|chunk| splitter.push(Bytes::copy_from_slice(chunk.as_bytes())));
        let passed = passed.map(text).collect();
        (passed, splitter.finish().map(text))
    }

    #[test]
    fn a_compressed_stream_is_not_parsed() {
        let of = |pairs: [(HeaderName, &'static str); 2]| {
            is_stream(&pairs.map(|(name, value)| (name, http::HeaderValue::from_static(value))).into_iter().collect())
        };
        assert!(of([
            (header::CONTENT_TYPE, "Text/Event-Stream; charset=utf-8"),
            (header::CONTENT_ENCODING, "identity")
        ]));
        assert!(!of([(header::CONTENT_TYPE, "text/event-stream"), (header::CONTENT_ENCODING, "gzip")]));
    }

    #[test]
    fn complete_events_pass_at_once() {
        assert_eq!(pass(&["data: 1\n\n", "data: 2\r\n\r\n"]).0, ["data: 1\n\n", "data: 2\r\n\r\n"]);
    }

    #[test]
    fn an_incomplete_event_is_held_back() {
        let (passed, rest) = pass(&["data: 1\n\ndata: {\"a", "\":1}\n", "\ndata: tail"]);
        assert_eq!(passed, ["data: 1\n\n", "data: {\"a\":1}\n\n"]);
        assert_eq!(rest.as_deref(), Some("data: tail"));
    }

    #[test]
    fn a_comment_passes_without_a_blank_line_after_it() {
        let (passed, rest) = pass(&[": alive\r\n", ": ", "still\ndata: 1", "\n\n: a\n: b\ndata: 2\n", ": c\n"]);
        assert_eq!(passed, [": alive\r\n", ": still\n", "data: 1\n\n: a\n: b\n"]);
        assert_eq!(rest.as_deref(), Some("data: 2\n: c\n"));
    }

    #[test]
    fn an_event_that_is_too_long_to_hold_passes_in_pieces() {
        let mut splitter = Splitter::new(64);
        assert_eq!(splitter.push(Bytes::from_static(b"data: ")), None);
        let piece = splitter.push(Bytes::from(vec![b'x'; 64])).map(|piece| piece.len());
        assert_eq!((piece, splitter.is_half_out()), (Some(70), true));
        assert_eq!(splitter.push(Bytes::from_static(b": no comment\n")), None);
        assert_eq!(splitter.push(Bytes::from_static(b"\n")).as_deref(), Some(b": no comment\n\n".as_slice()));
        assert!(!splitter.is_half_out());
    }

    #[test]
    fn data_lines_are_joined_and_comments_skipped() {
        assert_eq!(data(b": hi\nevent: x\ndata: a\ndata:b\n\ndata: [DONE]\r\n\r\n"), ["a\nb", "[DONE]"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_changed_however_it_is_cut(
            text in "(data: [a-z{}]{0,5}|\r|\n|\r\n|:|event: e){0,20}",
            cuts in prop::collection::vec(0usize..40, 0..6),
        ) {
            let mut splitter = Splitter::new(64);
            let mut out = Vec::new();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            for pair in cuts.windows(2) {
                let chunk = Bytes::copy_from_slice(&text.as_bytes()[pair[0]..pair[1]]);
                out.extend(splitter.push(chunk).into_iter().flatten());
            }
            out.extend(splitter.finish().into_iter().flatten());
            prop_assert_eq!(out, text.as_bytes());
        }
    }
}
