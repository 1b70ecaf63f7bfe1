//! Server-sent events as they pass: where each one ends, and what it carries. Bytes are never changed.

use bytes::{Bytes, BytesMut};

/// Cuts a byte stream after complete events and holds back the unfinished rest, so that a stream that is cut upstream
/// can still end in a well-formed error event.
#[derive(Debug, Default)]
pub struct Splitter {
    rest: BytesMut,
}

/// Most bytes held back: an event longer than this passes in pieces.
const LONGEST_EVENT: usize = 1 << 20;

impl Splitter {
    /// Takes `chunk` and returns the bytes up to the last complete event, if any.
    pub fn push(&mut self, chunk: Bytes) -> Option<Bytes> {
        // The usual case: a chunk is made of whole events.
        if self.rest.is_empty() && end_of_last_event(&chunk) == Some(chunk.len()) {
            return Some(chunk);
        }
        self.rest.extend_from_slice(&chunk);
        match end_of_last_event(&self.rest) {
            Some(end) => Some(self.rest.split_to(end).freeze()),
            None if self.rest.len() > LONGEST_EVENT => Some(self.rest.split().freeze()),
            None => None,
        }
    }

    /// Returns what was held back when the stream ended: an unfinished event.
    pub fn finish(&mut self) -> Option<Bytes> {
        (!self.rest.is_empty()).then(|| self.rest.split().freeze())
    }

    /// Returns what was held back as an event that is whole: the last one may lack the blank line behind it.
    pub fn finish_event(&mut self) -> Vec<u8> {
        let rest = self.finish().unwrap_or_default();
        [&rest, b"\n\n".as_slice()].concat()
    }
}

/// Returns the index behind the last blank line of `bytes`.
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

/// Returns the data of each event in `bytes`, which hold complete events; data of several lines is joined.
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
        let mut splitter = Splitter::default();
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let passed = chunks.iter().filter_map(|chunk| splitter.push(Bytes::copy_from_slice(chunk.as_bytes())));
        let passed = passed.map(text).collect();
        (passed, splitter.finish().map(text))
    }

    #[test]
    fn whole_events_pass_at_once() {
        assert_eq!(pass(&["data: 1\n\n", "data: 2\r\n\r\n"]).0, ["data: 1\n\n", "data: 2\r\n\r\n"]);
    }

    #[test]
    fn an_unfinished_event_is_held_back() {
        let (passed, rest) = pass(&["data: 1\n\ndata: {\"a", "\":1}\n", "\ndata: tail"]);
        assert_eq!(passed, ["data: 1\n\n", "data: {\"a\":1}\n\n"]);
        assert_eq!(rest.as_deref(), Some("data: tail"));
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
            let mut splitter = Splitter::default();
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
