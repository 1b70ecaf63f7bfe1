//! The Parquet file of one day, written in groups of rows.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type, Int64Type},
    errors::Result,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};

use super::{ExportError, failed, row::Row, temporary};
use crate::routing::QueryFeatures;

/// The columns, in the order in which [`Columns::write`] writes them.
const SCHEMA: &str = "
message interaction {
  REQUIRED BYTE_ARRAY user (STRING);
  REQUIRED BYTE_ARRAY decision (STRING);
  REQUIRED INT64 received (TIMESTAMP(MILLIS,true));
  REQUIRED INT64 at (TIMESTAMP(MILLIS,true));
  REQUIRED BYTE_ARRAY kind (STRING);
  REQUIRED BYTE_ARRAY signal (STRING);
  REQUIRED BYTE_ARRAY llm (STRING);
  REQUIRED BYTE_ARRAY model (STRING);
  REQUIRED BYTE_ARRAY bundle (STRING);
  OPTIONAL BYTE_ARRAY task (STRING);
  OPTIONAL BYTE_ARRAY explored (STRING);
  OPTIONAL FLOAT value;
  OPTIONAL FLOAT effect;
  OPTIONAL FLOAT cost;
  OPTIONAL FLOAT task_probability;
  OPTIONAL FLOAT propensity;
  OPTIONAL GROUP ngrams (LIST) { REPEATED GROUP list { REQUIRED INT32 element; } }
  OPTIONAL GROUP embedding (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }
}";

/// Rows of one group.
const GROUP: usize = 20_000;

/// A file that gets its name when it is complete.
pub(super) struct DayFile {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
    columns: Columns,
}

/// The rows of a group, by column.
#[derive(Default)]
struct Columns {
    rows: usize,
    texts: [Vec<ByteArray>; 7],
    times: [Vec<i64>; 2],
    optional_texts: [Optional<ByteArray>; 2],
    numbers: [Optional<f32>; 5],
    ngrams: List<i32>,
    embedding: List<f32>,
}

/// A column with absent values, and its definition levels.
struct Optional<T> {
    values: Vec<T>,
    definitions: Vec<i16>,
}

/// A column of lists, with its levels.
struct List<T> {
    values: Vec<T>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

impl<T> Default for Optional<T> {
    fn default() -> Self {
        Self { values: Vec::new(), definitions: Vec::new() }
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { values: Vec::new(), definitions: Vec::new(), repetitions: Vec::new() }
    }
}

impl<T> Optional<T> {
    fn push(&mut self, value: Option<T>) {
        self.definitions.push(i16::from(value.is_some()));
        self.values.extend(value);
    }
}

impl<T: Copy> List<T> {
    /// Adds a list; its elements have definition level 2, an empty list 1, and no list 0.
    fn push(&mut self, list: Option<&[T]>) {
        let Some(list) = list.filter(|list| !list.is_empty()) else {
            self.definitions.push(i16::from(list.is_some()));
            self.repetitions.push(0);
            return;
        };
        for (idx, value) in list.iter().enumerate() {
            self.values.push(*value);
            self.definitions.push(2);
            self.repetitions.push(i16::from(idx > 0));
        }
    }
}

impl DayFile {
    /// Creates the file that becomes `path`.
    pub(super) fn create(path: &Path) -> std::result::Result<Self, ExportError> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let unfinished = temporary(path);
        let file = File::create(&unfinished).map_err(failed(&unfinished))?;
        let writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
        Ok(Self { path: path.to_path_buf(), writer, columns: Columns::default() })
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: &Row<'_>) -> std::result::Result<(), ExportError> {
        self.columns.push(row);
        if self.columns.rows >= GROUP { self.flush() } else { Ok(()) }
    }

    /// Completes the file and gives it its name.
    pub(super) fn finish(mut self) -> std::result::Result<(), ExportError> {
        self.flush()?;
        let unfinished = temporary(&self.path);
        let file = self.writer.into_inner()?;
        file.sync_all().and_then(|()| fs::rename(&unfinished, &self.path)).map_err(failed(&self.path))
    }

    fn flush(&mut self) -> std::result::Result<(), ExportError> {
        let columns = std::mem::take(&mut self.columns);
        if columns.rows > 0 {
            let mut group = self.writer.next_row_group()?;
            columns.write(&mut group)?;
            group.close()?;
        }
        Ok(())
    }
}

impl Columns {
    fn push(&mut self, row: &Row<'_>) {
        self.rows += 1;
        let (signal, origin) = (row.signal, row.origin());
        let texts =
            [row.user, &signal.decision, row.kind, signal.kind().as_str(), row.llm, &origin.model, &origin.bundle];
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.push(ByteArray::from(text)));
        let times = [signal.received, signal.at].map(|time| i64::try_from(time).unwrap_or(i64::MAX));
        self.times.iter_mut().zip(times).for_each(|(column, time)| column.push(time));
        let task = origin.task.as_ref();
        let optional = [task.map(|task| task.name.as_str()), origin.explored.as_deref()];
        self.optional_texts.iter_mut().zip(optional).for_each(|(column, text)| column.push(text.map(ByteArray::from)));
        let probability = task.map(|task| task.probability);
        let numbers = [row.value, row.effect, row.cost, probability, row.propensity()];
        self.numbers.iter_mut().zip(numbers).for_each(|(column, number)| column.push(number));
        let (ngrams, embedding) = match &origin.features {
            Some(QueryFeatures::Lexical(ids)) => (Some(ids), None),
            Some(QueryFeatures::Dense(vector)) => (None, Some(vector.as_slice())),
            None => (None, None),
        };
        let ngrams: Option<Vec<i32>> =
            ngrams.map(|ids| ids.iter().map(|id| i32::try_from(*id).unwrap_or(i32::MAX)).collect());
        self.ngrams.push(ngrams.as_deref());
        self.embedding.push(embedding);
    }

    /// Writes the columns in the order of [`SCHEMA`].
    fn write(&self, group: &mut SerializedRowGroupWriter<'_, File>) -> Result<()> {
        let [user, decision, kind, signal, llm, model, bundle] = &self.texts;
        let [received, at] = &self.times;
        for text in [user, decision] {
            write::<ByteArrayType>(group, text, None, None)?;
        }
        for time in [received, at] {
            write::<Int64Type>(group, time, None, None)?;
        }
        for text in [kind, signal, llm, model, bundle] {
            write::<ByteArrayType>(group, text, None, None)?;
        }
        for text in &self.optional_texts {
            write::<ByteArrayType>(group, &text.values, Some(&text.definitions), None)?;
        }
        for number in &self.numbers {
            write::<FloatType>(group, &number.values, Some(&number.definitions), None)?;
        }
        let List { values, definitions, repetitions } = &self.ngrams;
        write::<Int32Type>(group, values, Some(definitions), Some(repetitions))?;
        let List { values, definitions, repetitions } = &self.embedding;
        write::<FloatType>(group, values, Some(definitions), Some(repetitions))
    }
}

fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    definitions: Option<&[i16]>,
    repetitions: Option<&[i16]>,
) -> Result<()> {
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    column.typed::<T>().write_batch(values, definitions, repetitions)?;
    column.close()
}
