//! Reads CSV as a stream of records that know their line: fields are slices of one buffer, nothing is copied.
//!
//! Written for rows of several kilobytes (embeddings as text): quoted fields are skipped with `memchr`, so the time goes
//! into reading, not into splitting.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memchr::{memchr, memchr_iter, memchr3};

use super::error::{DataError, Place};
use super::open;

/// First size of the buffer; it doubles when a record is longer.
const BUFFER: usize = 1 << 20;

/// The records of one CSV file.
pub struct Records {
    file: PathBuf,
    input: Box<dyn Read>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    finished: bool,
    line: u64,
    header: Vec<String>,
    fields: Vec<Field>,
}

/// One record, valid until the next is read.
pub struct Record<'a> {
    file: &'a Path,
    header: &'a [String],
    buffer: &'a [u8],
    fields: &'a [Field],
    /// Line the record begins on, from 1.
    pub line: u64,
}

/// A field inside the buffer.
#[derive(Debug, Clone)]
struct Field {
    range: Range<usize>,
    /// Whether doubled quotes stand inside.
    escaped: bool,
}

/// Where a field ends.
enum End {
    Field(usize),
    Record(usize),
    /// More input is needed.
    Unknown,
}

impl Records {
    /// Opens a file and reads its header.
    pub fn open(file: &Path) -> Result<Self, DataError> {
        Self::new(file, open::reader(file)?)
    }

    /// Reads from `input`; `file` stands in the messages.
    pub fn new(file: &Path, input: Box<dyn Read>) -> Result<Self, DataError> {
        let mut records = Self {
            file: file.to_owned(),
            input,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            finished: false,
            line: 1,
            header: Vec::new(),
            fields: Vec::new(),
        };
        let header = match records.next()? {
            Some(record) => (0..record.fields.len()).map(|at| record.text(at).map(Cow::into_owned)).collect(),
            None => Err(DataError::format(file, "a header line", "an empty file")),
        };
        records.header = header?;
        if let Some(first) = records.header.first_mut() {
            *first = first.trim_start_matches('\u{feff}').to_owned();
        }
        Ok(records)
    }

    /// Returns the position of a column that must be there.
    pub fn column(&self, name: &str) -> Result<usize, DataError> {
        self.optional(name).ok_or_else(|| {
            let place = Place { file: self.file.display().to_string(), line: Some(1), column: None };
            place.error(format!("a column `{name}`"), self.header.join(", "))
        })
    }

    /// Returns the position of a column that may be absent.
    pub fn optional(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// Returns the next record, or nothing at the end of the file.
    #[expect(clippy::should_implement_trait, reason = "records borrow from the reader: no Iterator can lend them")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, DataError> {
        let Some(length) = self.scan()? else { return Ok(None) };
        let begin = self.start;
        let line = self.line;
        let buffer = self.buffer.get(begin..begin + length).unwrap_or_default();
        self.line += memchr_iter(b'\n', buffer).count() as u64;
        self.start += length;
        let record = Record { file: &self.file, header: &self.header, buffer, fields: &self.fields, line };
        if !self.header.is_empty() && record.fields.len() != self.header.len() {
            let expected = format!("{} fields as in the header", self.header.len());
            return Err(record.place(None).error(expected, format!("{}", record.fields.len())));
        }
        Ok(Some(record))
    }

    /// Finds the fields of the record at `start` and returns its length with the line break; nothing at the end.
    fn scan(&mut self) -> Result<Option<usize>, DataError> {
        loop {
            let rest = self.buffer.get(self.start..self.end).unwrap_or_default();
            let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            if blank > 0 && blank < rest.len() {
                // Empty lines carry no record, as in every CSV reader in use.
                self.line += memchr_iter(b'\n', rest.get(..blank).unwrap_or_default()).count() as u64;
                self.start += blank;
                continue;
            }
            if blank == rest.len() {
                if self.finished {
                    return Ok(None);
                }
                self.fill()?;
                continue;
            }
            match split(rest, self.finished, &mut self.fields) {
                Ok(Some(length)) => return Ok(Some(length)),
                Ok(None) => self.fill()?,
                Err(found) => {
                    let place = Place { file: self.file.display().to_string(), line: Some(self.line), column: None };
                    return Err(place.error("a closing quote before the next comma or line break", found));
                }
            }
        }
    }

    /// Moves the unread rest to the front, grows the buffer when it is full, and reads on.
    fn fill(&mut self) -> Result<(), DataError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let free = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = self.input.read(free).map_err(|source| DataError::read(&self.file, source))?;
        self.end += read;
        self.finished = read == 0;
        Ok(())
    }
}

impl<'a> Record<'a> {
    /// Returns the bytes of a field.
    pub fn bytes(&self, column: usize) -> Cow<'a, [u8]> {
        let Some(field) = self.fields.get(column) else { return Cow::Borrowed(&[]) };
        let raw = self.buffer.get(field.range.clone()).unwrap_or_default();
        match field.escaped {
            true => Cow::Owned(unescape(raw)),
            false => Cow::Borrowed(raw),
        }
    }

    /// Returns a field as text.
    pub fn text(&self, column: usize) -> Result<Cow<'a, str>, DataError> {
        let not_utf8 = || self.place(Some(column)).error("UTF-8 text", "other bytes");
        match self.bytes(column) {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| not_utf8()),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| not_utf8()),
        }
    }

    /// Returns a field as a finite number.
    pub fn number(&self, column: usize) -> Result<f64, DataError> {
        let text = self.text(column)?;
        let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| self.place(Some(column)).error("a finite number", format!("`{text}`")))
    }

    /// Returns a field as a whole number.
    pub fn whole(&self, column: usize) -> Result<u64, DataError> {
        let text = self.text(column)?;
        text.trim().parse().map_err(|_| self.place(Some(column)).error("a whole number", format!("`{text}`")))
    }

    /// Returns the place of a field, or of the record.
    pub fn place(&self, column: Option<usize>) -> Place {
        let column = column.and_then(|column| self.header.get(column).cloned());
        Place { file: self.file.display().to_string(), line: Some(self.line), column }
    }
}

/// Splits the record at the beginning of `input`; returns its length with the line break, or nothing if it is cut off.
fn split(input: &[u8], finished: bool, fields: &mut Vec<Field>) -> Result<Option<usize>, String> {
    fields.clear();
    let mut at = 0;
    loop {
        let (field, end) = match input.get(at) {
            Some(b'"') => quoted(input, at + 1, finished)?,
            Some(_) | None => bare(input, at, finished),
        };
        match end {
            End::Unknown => return Ok(None),
            End::Field(next) => {
                fields.push(field);
                at = next;
            }
            End::Record(next) => {
                fields.push(field);
                return Ok(Some(next));
            }
        }
    }
}

fn bare(input: &[u8], begin: usize, finished: bool) -> (Field, End) {
    let rest = input.get(begin..).unwrap_or_default();
    let field = |length: usize| Field { range: begin..begin + length, escaped: false };
    let Some(length) = memchr3(b',', b'\n', b'\r', rest) else {
        let end = if finished { End::Record(input.len()) } else { End::Unknown };
        return (field(rest.len()), end);
    };
    (field(length), closing(input, begin + length, finished))
}

fn quoted(input: &[u8], begin: usize, finished: bool) -> Result<(Field, End), String> {
    let mut escaped = false;
    let mut at = begin;
    loop {
        let rest = input.get(at..).unwrap_or_default();
        let Some(quote) = memchr(b'"', rest).map(|quote| at + quote) else {
            let missing = String::from_utf8_lossy(input.get(begin..input.len().min(begin + 60)).unwrap_or_default());
            let field = Field { range: begin..input.len(), escaped };
            return if finished { Err(format!("`{missing}`")) } else { Ok((field, End::Unknown)) };
        };
        let field = Field { range: begin..quote, escaped };
        match input.get(quote + 1) {
            Some(b'"') => {
                escaped = true;
                at = quote + 2;
            }
            Some(b',' | b'\n' | b'\r') => return Ok((field, closing(input, quote + 1, finished))),
            Some(&other) => return Err(format!("`\"{}`", char::from(other))),
            None if finished => return Ok((field, End::Record(input.len()))),
            None => return Ok((field, End::Unknown)),
        }
    }
}

/// Reads the comma or line break at `at`; a carriage return belongs to the line feed behind it.
fn closing(input: &[u8], at: usize, finished: bool) -> End {
    match (input.get(at), input.get(at + 1)) {
        (Some(b','), _) => End::Field(at + 1),
        (Some(b'\r'), Some(b'\n')) => End::Record(at + 2),
        (Some(b'\r'), None) if !finished => End::Unknown,
        (Some(_) | None, _) => End::Record((at + 1).min(input.len())),
    }
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(raw.len());
    let mut quote = false;
    for &byte in raw {
        quote = byte == b'"' && !quote;
        if !quote {
            plain.push(byte);
        }
    }
    plain
}

#[cfg(test)]
mod tests;
