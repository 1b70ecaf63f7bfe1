//! One record of a CSV file: its fields as text, numbers or bytes, and where each stands in the file.

use std::path::Path;

use crate::data::error::{DataError, Location};

/// One record, valid until the next is read.
pub struct Record<'a> {
    pub(super) file: &'a Path,
    pub(super) header: &'a [String],
    /// All fields, one behind the other.
    pub(super) fields: &'a [u8],
    /// End of each field.
    pub(super) ends: &'a [usize],
    /// Line the record begins on, from 1.
    pub line: u64,
}

impl<'a> Record<'a> {
    /// Returns the bytes of a field.
    pub fn bytes(&self, column: usize) -> &'a [u8] {
        let begin = column.checked_sub(1).map_or(Some(&0), |before| self.ends.get(before));
        let range = begin.zip(self.ends.get(column));
        range.and_then(|(&begin, &end)| self.fields.get(begin..end)).unwrap_or_default()
    }

    /// Returns a field as text.
    pub fn text(&self, column: usize) -> Result<&'a str, DataError> {
        std::str::from_utf8(self.bytes(column))
            .map_err(|_| self.location(Some(column)).error("UTF-8 text", "other bytes"))
    }

    /// Returns a field as a finite number.
    pub fn number(&self, column: usize) -> Result<f64, DataError> {
        let bytes = self.bytes(column);
        let number = fast_float2::parse(bytes.trim_ascii()).ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| self.unlike(column, "a finite number"))
    }

    /// Returns a field as a whole number.
    pub fn whole(&self, column: usize) -> Result<u64, DataError> {
        let number = std::str::from_utf8(self.bytes(column)).ok().and_then(|text| text.trim().parse().ok());
        number.ok_or_else(|| self.unlike(column, "a whole number"))
    }

    /// Returns the error of a field that is something else.
    #[cold]
    fn unlike(&self, column: usize, expected: &str) -> DataError {
        let found = String::from_utf8_lossy(self.bytes(column));
        self.location(Some(column)).error(expected, format!("`{found}`"))
    }

    /// Returns the location of a field, or of the record.
    pub fn location(&self, column: Option<usize>) -> Location {
        let column = column.and_then(|column| self.header.get(column).cloned());
        Location { file: self.file.display().to_string(), line: Some(self.line), column }
    }
}
