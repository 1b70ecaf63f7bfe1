//! Reads CSV as a stream of records that know their file and line.
//!
//! `csv-core` splits; what it is lenient about, and data must not be, is refused by [`quote::QuoteCheck`].

mod quote;
mod record;
mod write;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use csv_core::{ReadRecordResult, Reader};

pub use record::Record;
pub use write::Writer;

use super::error::{DataError, Location};
use super::open;
use quote::QuoteCheck;

/// Bytes read from a file at once.
const BUFFER: usize = 1 << 20;
/// First size of a record's buffer; it doubles when a record is longer.
const RECORD: usize = 1 << 14;
/// First number of fields; it doubles when a record has more.
const FIELDS: usize = 32;

/// The records of one CSV file.
pub struct Records {
    file: PathBuf,
    input: BufReader<Box<dyn Read>>,
    reader: Reader,
    quotes: QuoteCheck,
    header: Vec<String>,
    /// Fields of the current record one behind the other, without quotes.
    fields: Vec<u8>,
    /// End of each field in `fields`.
    ends: Vec<usize>,
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
            input: BufReader::with_capacity(BUFFER, input),
            reader: Reader::new(),
            quotes: QuoteCheck::default(),
            header: Vec::new(),
            fields: vec![0; RECORD],
            ends: vec![0; FIELDS],
        };
        let Some(count) = records.read()? else {
            return Err(DataError::format(file, "a header line", "an empty file"));
        };
        let header = records.record(count);
        records.header = (0..count).map(|at| header.text(at).map(str::to_owned)).collect::<Result<_, _>>()?;
        Ok(records)
    }

    /// Returns the position of a column that must be there.
    pub fn column(&self, name: &str) -> Result<usize, DataError> {
        self.optional(name).ok_or_else(|| {
            let location = Location { file: self.file.display().to_string(), line: Some(1), column: None };
            location.error(format!("a column `{name}`"), self.header.join(", "))
        })
    }

    /// Returns the position of a column that may be absent.
    pub fn optional(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// Returns the next record, or nothing at the end of the file.
    #[expect(clippy::should_implement_trait, reason = "records borrow from the reader: no Iterator can lend them")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, DataError> {
        let Some(count) = self.read()? else { return Ok(None) };
        let record = self.record(count);
        if count != self.header.len() {
            let expected = format!("{} fields as in the header", self.header.len());
            return Err(record.location(None).error(expected, count.to_string()));
        }
        Ok(Some(record))
    }

    fn record(&self, count: usize) -> Record<'_> {
        let ends = self.ends.get(..count).unwrap_or_default();
        Record { file: &self.file, header: &self.header, fields: &self.fields, ends, line: self.quotes.line() }
    }

    /// Reads one record into the buffers and returns its number of fields; nothing at the end.
    fn read(&mut self) -> Result<Option<usize>, DataError> {
        let (mut length, mut count) = (0, 0);
        self.quotes.begin();
        loop {
            let input = self.input.fill_buf().map_err(|source| DataError::read(&self.file, source))?;
            let fields = self.fields.get_mut(length..).unwrap_or_default();
            let ends = self.ends.get_mut(count..).unwrap_or_default();
            let (result, read, written, ended) = self.reader.read_record(input, fields, ends);
            let checked = self.quotes.feed(input.get(..read).unwrap_or_default());
            let at_end = input.is_empty();
            self.input.consume(read);
            length += written;
            count += ended;
            checked.map_err(|found| self.misquoted(&found))?;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record if at_end && self.quotes.is_open() => {
                    let begin = String::from_utf8_lossy(self.fields.get(..length.min(60)).unwrap_or_default());
                    return Err(self.misquoted(&begin));
                }
                ReadRecordResult::Record => return Ok(Some(count)),
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    fn misquoted(&self, found: &str) -> DataError {
        let line = Some(self.quotes.line());
        let location = Location { file: self.file.display().to_string(), line, column: None };
        location.error("a closing quote before the next comma or line break", format!("`{found}`"))
    }
}

#[cfg(test)]
mod tests;
