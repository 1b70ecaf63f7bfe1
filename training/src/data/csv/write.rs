//! Writes CSV files, gzipped where the name says so.

use std::path::{Path, PathBuf};

use crate::data::error::DataError;
use crate::data::open::Output;

/// A CSV file being written.
pub struct Writer {
    file: PathBuf,
    inner: csv::Writer<Output>,
}

impl Writer {
    /// Creates the file, replacing one of that name, and writes its header.
    pub fn create(file: &Path, header: &[&str]) -> Result<Self, DataError> {
        let inner = csv::Writer::from_writer(Output::create(file)?);
        let mut writer = Self { file: file.to_owned(), inner };
        writer.record(header)?;
        Ok(writer)
    }

    /// Writes a record.
    pub fn record<F: AsRef<[u8]>>(&mut self, fields: impl IntoIterator<Item = F>) -> Result<(), DataError> {
        self.inner.write_record(fields).map_err(|error| DataError::write(&self.file, std::io::Error::from(error)))
    }

    /// Flushes everything: only after this is the file complete.
    pub fn finish(self) -> Result<(), DataError> {
        let output = self.inner.into_inner().map_err(|error| DataError::write(&self.file, error.into_error()))?;
        output.finish()
    }
}
