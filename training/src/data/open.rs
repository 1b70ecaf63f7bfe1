//! Opens data files, gzipped or not, as streams of bytes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::error::DataError;

/// Opens a file; one whose name ends in `.gz` is decompressed on the way.
pub fn reader(file: &Path) -> Result<Box<dyn Read>, DataError> {
    let input = File::open(file).map_err(|source| DataError::read(file, source))?;
    match is_gzip(file) {
        true => Ok(Box::new(MultiGzDecoder::new(input))),
        false => Ok(Box::new(input)),
    }
}

/// Returns `folder/name` or `folder/name.gz`, whichever exists.
pub fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [name.to_owned(), format!("{name}.gz")].iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// Returns `folder/name` or `folder/name.gz`; an error that names both when there is neither.
pub fn require(folder: &Path, name: &str) -> Result<PathBuf, DataError> {
    find(folder, name).ok_or_else(|| DataError::missing(folder, format!("`{name}` or `{name}.gz`")))
}

/// Reads a whole small file (metadata, embeddings).
pub fn bytes(file: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    reader(file)?.read_to_end(&mut bytes).map_err(|source| DataError::read(file, source))?;
    Ok(bytes)
}

/// A file being written; one whose name ends in `.gz` is compressed on the way.
pub struct Output {
    file: PathBuf,
    sink: Sink,
}

enum Sink {
    Plain(io::BufWriter<File>),
    Gzip(Box<GzEncoder<io::BufWriter<File>>>),
}

impl Output {
    /// Creates the file, replacing one of that name.
    pub fn create(file: &Path) -> Result<Self, DataError> {
        let output = File::create(file).map_err(|source| DataError::write(file, source))?;
        let output = io::BufWriter::with_capacity(1 << 16, output);
        let sink = match is_gzip(file) {
            true => Sink::Gzip(Box::new(GzEncoder::new(output, Compression::fast()))),
            false => Sink::Plain(output),
        };
        Ok(Self { file: file.to_owned(), sink })
    }

    /// Flushes everything: only after this is the file complete.
    pub fn finish(self) -> Result<(), DataError> {
        let finished = match self.sink {
            Sink::Plain(mut sink) => sink.flush(),
            Sink::Gzip(sink) => sink.finish().and_then(|mut sink| sink.flush()),
        };
        finished.map_err(|source| DataError::write(&self.file, source))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Plain(sink) => sink.write(bytes),
            Sink::Gzip(sink) => sink.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Plain(sink) => sink.flush(),
            Sink::Gzip(sink) => sink.flush(),
        }
    }
}

fn is_gzip(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "gz")
}
