//! Follows the quotes and line breaks of a CSV file: where each record begins, and whether its quotes are closed.
//!
//! `csv-core` reads `"2"3` as `23`, and a file that ends inside quotes as complete. In data, both are damage.

use memchr::{memchr, memchr_iter};

/// Sees every byte once, in chunks of any size.
#[derive(Debug, Default)]
pub(super) struct QuoteCheck {
    /// Line breaks so far.
    breaks: u64,
    /// Line breaks before the current record.
    before: u64,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte of a record; empty lines are skipped.
    #[default]
    Blank,
    /// At the first byte of a field.
    FieldStart,
    /// Inside a field that begins without a quote: quotes mean nothing there.
    Bare,
    /// Inside quotes.
    Quoted,
    /// After a quote inside quotes: it closes the field, or a second one follows.
    Closing,
}

impl QuoteCheck {
    /// Begins a record.
    pub(super) fn begin(&mut self) {
        self.state = State::Blank;
    }

    /// Returns the line that the current record begins on, from 1.
    pub(super) fn line(&self) -> u64 {
        self.before + 1
    }

    /// Returns whether the current record has an open quote.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Quoted
    }

    /// Reads bytes of the current record; the error is what follows a closing quote instead of a comma or line break.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        if self.state == State::Blank {
            let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            let (skipped, record) = rest.split_at(blank);
            self.breaks += breaks(skipped);
            if record.is_empty() {
                return Ok(());
            }
            (self.before, self.state, rest) = (self.breaks, State::FieldStart, record);
        }
        if let Some(state) = self.after_bare(rest) {
            // A line break outside quotes ends the record.
            self.breaks += u64::from(rest.ends_with(b"\n"));
            self.state = state;
            return Ok(());
        }
        self.breaks += breaks(rest);
        while let Some((&first, others)) = rest.split_first() {
            rest = match self.state {
                State::Blank | State::FieldStart => {
                    self.state = if first == b'"' { State::Quoted } else { State::Bare };
                    if first == b'"' { others } else { rest }
                }
                State::Bare => self.until(rest, b',', State::FieldStart),
                State::Quoted => self.until(rest, b'"', State::Closing),
                State::Closing => {
                    self.state = match first {
                        b'"' => State::Quoted,
                        b',' => State::FieldStart,
                        b'\n' | b'\r' => State::Bare,
                        other => return Err(format!("\"{}", char::from(other))),
                    };
                    others
                }
            };
        }
        Ok(())
    }

    /// Returns the state behind bytes without quotes, which most records are: one search instead of one a field. Nothing where
    /// a quote counts.
    fn after_bare(&self, bytes: &[u8]) -> Option<State> {
        let is_bare = matches!(self.state, State::FieldStart | State::Bare) && memchr(b'"', bytes).is_none();
        match bytes.last() {
            Some(b',') if is_bare => Some(State::FieldStart),
            Some(_) if is_bare => Some(State::Bare),
            _ => None,
        }
    }

    /// Skips to the byte behind the next `end`, which leads to another state.
    fn until<'a>(&mut self, bytes: &'a [u8], end: u8, next: State) -> &'a [u8] {
        let Some(at) = memchr(end, bytes) else { return &[] };
        self.state = next;
        bytes.get(at + 1..).unwrap_or_default()
    }
}

fn breaks(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a record in chunks of every size: the result is the same.
    fn fed(text: &str) -> Result<(u64, bool), String> {
        let mut all = Vec::new();
        for size in 1..=text.len() {
            let mut check = QuoteCheck::default();
            let result = text.as_bytes().chunks(size).try_for_each(|chunk| check.feed(chunk));
            all.push(result.map(|()| (check.line(), check.is_open())));
        }
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
        all.pop().unwrap()
    }

    #[test]
    fn the_line_of_a_record_is_that_of_its_first_byte() {
        assert_eq!(fed("a,b\n"), Ok((1, false)));
        assert_eq!(fed("\r\n\r\na,\"x\ny\"\n"), Ok((3, false)));
    }

    #[test]
    fn quotes_must_close_before_the_field_ends() {
        assert_eq!(fed("\"a\"\"b\",\"c\"\r\n"), Ok((1, false)));
        assert_eq!(fed("1,\"2"), Ok((1, true)));
        assert_eq!(fed("1,\"2\"3\n"), Err("\"3".to_owned()));
        // In a field that begins without one, a quote is a letter.
        assert_eq!(fed("5\" tall,\"x\"\n"), Ok((1, false)));
    }
}
