//! The user table: the embedding, preference, number of interactions and certainty of each user of the training data.
//!
//! Two files. `users.safetensors` holds the tensors `embedding` (f16 or f32, `[users, dim]`), `preference` (f32,
//! `[users]`, NaN for none), `interactions` (i32 or u32, `[users]`) and `certainty` (f32, `[users]`); `users.idx` maps ids, which are any strings, to
//! rows (layout: see the source of `users/index.rs`).

mod index;
mod rows;
mod writer;

use std::path::Path;

use self::index::Index;
use self::rows::Rows;
pub use self::writer::UserTableWriter;
use crate::error::{BundleError, Fields};
use crate::layout::{USER_INDEX, USER_ROWS};
use crate::source::{BundleSource, Content};

/// The row of one user.
///
/// ```
/// use personaroute_bundle::users::UserRow;
///
/// let row = UserRow { embedding: vec![0.5, -0.5], preference: Some(0.8), interactions: 40, certainty: 0.9 };
/// assert_eq!(row.embedding.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct UserRow {
    /// The user's embedding, of the table's dimension.
    pub embedding: Vec<f32>,
    /// Estimated weight of effect against cost, 0 (cost only) to 1 (effect only); `None` if unknown.
    pub preference: Option<f32>,
    /// Number of interactions behind the embedding.
    pub interactions: u32,
    /// Share of the prior's variance that the interactions have removed, 0 to 1.
    pub certainty: f32,
}

/// How embeddings are stored.
///
/// ```
/// use personaroute_bundle::users::Precision;
///
/// assert_eq!(Precision::F16.bytes(), 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point: half the size, about three decimal digits.
    F16,
}

/// The user table in memory: `2 · dim` (f16) or `4 · dim` (f32) bytes and 12 bytes for each user, and the index.
///
/// The table is a copy of its files, so that replacing or truncating them does not affect it, and its checksum covers
/// exactly the bytes that are used. An embedded table is used in place.
///
/// ```
/// use personaroute_bundle::users::{Precision, UserTable, UserTableWriter};
///
/// let dir = tempfile::tempdir()?;
/// let mut writer = UserTableWriter::new(2, Precision::F32);
/// writer.push("ann@example.org", &[0.25, -1.0], Some(0.9), (40, 0.9))?;
/// writer.push("用户", &[0.5, 2.0], None, (3, 0.25))?;
/// writer.write(dir.path())?;
///
/// let users = UserTable::open(dir.path())?;
/// assert_eq!(users.len(), 2);
/// assert_eq!(users.get("用户").map(|row| row.embedding), Some(vec![0.5, 2.0]));
/// assert_eq!(users.get("bob"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UserTable {
    rows: Rows,
    index: Index,
}

impl Precision {
    /// Returns the size of one value in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

impl UserTable {
    /// Reads the table in the folder `dir` into memory, without comparing checksums.
    ///
    /// # Errors
    ///
    /// [`BundleError`] with the file that is missing, truncated, of another layout or inconsistent with the other one.
    /// Damage inside rows is not detected here: looking up users in a damaged table finds wrong rows or none, and is safe.
    /// [`Bundle::open`](crate::folder::Bundle::open) compares the checksums.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let source = BundleSource::from(dir);
        Self::from_contents(source.read(USER_ROWS)?, source.read(USER_INDEX)?, &source)
    }

    /// Returns the table with the content of `users.safetensors` and `users.idx`; only errors name their `source`.
    pub(crate) fn from_contents(rows: Content, index: Content, source: &BundleSource) -> Result<Self, BundleError> {
        let rows = Rows::new(rows, &source.path(USER_ROWS))?;
        let index_file = source.path(USER_INDEX);
        let index = Index::new(index, &index_file)?;
        let expected = format!("{} as in {USER_ROWS}", rows.len());
        Fields::of(&index_file).check("count", index.len() == rows.len(), expected, index.len())?;
        Ok(Self { rows, index })
    }

    /// Returns the row of the user with this id. Takes constant time.
    pub fn get(&self, id: &str) -> Option<UserRow> {
        self.rows.row(self.index.row(id)?)
    }

    /// Returns the number of users.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there is no user.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the length of an embedding.
    pub fn dim(&self) -> usize {
        self.rows.dim()
    }

    /// Returns how embeddings are stored.
    pub fn precision(&self) -> Precision {
        self.rows.precision()
    }

    /// Iterates over the ids, in the order of the rows.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|row| self.index.id(row))
    }
}

#[cfg(test)]
mod tests;
