//! Writes a user table.

use std::fs;
use std::path::Path;

use half::f16;
use safetensors::tensor::{Dtype, TensorView};

use super::{Precision, index};
use crate::BundleError;
use crate::layout::{USER_INDEX, USER_ROWS};

/// Collects users and writes both files of the table.
///
/// ```
/// use personaroute_bundle::users::{Precision, UserTable, UserTableWriter};
///
/// let dir = tempfile::tempdir()?;
/// let mut writer = UserTableWriter::new(1, Precision::F16);
/// writer.push("ann", &[0.5], None, (0, 0.0))?;
/// assert!(writer.push("bob", &[0.5, 0.5], None, (0, 0.0)).is_err());
/// writer.write(dir.path())?;
/// assert!(UserTable::open(dir.path())?.get("ann").is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UserTableWriter {
    dim: usize,
    precision: Precision,
    ids: String,
    /// Where each id ends in `ids`.
    ends: Vec<usize>,
    embedding: Vec<u8>,
    preference: Vec<u8>,
    interactions: Vec<u8>,
    certainty: Vec<u8>,
}

impl UserTableWriter {
    /// Returns an empty table for embeddings of length `dim`.
    pub fn new(dim: usize, precision: Precision) -> Self {
        Self {
            dim,
            precision,
            ids: String::new(),
            ends: Vec::new(),
            embedding: Vec::new(),
            preference: Vec::new(),
            interactions: Vec::new(),
            certainty: Vec::new(),
        }
    }

    /// Adds a user with so many interactions, which have removed this share of the prior's variance.
    ///
    /// # Errors
    ///
    /// [`BundleError::Field`] for an embedding of another length or with values that the precision cannot represent, for a
    /// preference or a certainty outside 0 to 1, and for more interactions than an i32 can represent.
    pub fn push(
        &mut self,
        id: &str,
        embedding: &[f32],
        preference: Option<f32>,
        (interactions, certainty): (u32, f32),
    ) -> Result<(), BundleError> {
        let refuse = |field: &str, expected: &str, found: &dyn std::fmt::Display| {
            BundleError::field(USER_ROWS.as_ref(), format_args!("{field} of user {id:?}"), expected, found)
        };
        if embedding.len() != self.dim {
            return Err(refuse("embedding", &format!("{} values", self.dim), &embedding.len()));
        }
        if let Some(value) = embedding.iter().find(|value| !self.holds(**value)) {
            return Err(refuse("embedding", &format!("values that {:?} holds", self.precision), value));
        }
        if let Some(outside) = preference.filter(|preference| !(0.0..=1.0).contains(preference)) {
            return Err(refuse("preference", "0 to 1, or none", &outside));
        }
        if !(0.0..=1.0).contains(&certainty) {
            return Err(refuse("certainty", "0 to 1", &certainty));
        }
        let counted = i32::try_from(interactions)
            .map_err(|_| refuse("interactions", &format!("at most {}", i32::MAX), &interactions))?;
        self.ids.push_str(id);
        self.ends.push(self.ids.len());
        for value in embedding {
            match self.precision {
                Precision::F32 => self.embedding.extend(value.to_le_bytes()),
                Precision::F16 => self.embedding.extend(f16::from_f32(*value).to_le_bytes()),
            }
        }
        self.preference.extend(preference.unwrap_or(f32::NAN).to_le_bytes());
        self.interactions.extend(counted.to_le_bytes());
        self.certainty.extend(certainty.to_le_bytes());
        Ok(())
    }

    /// Returns the number of users.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there is no user.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Writes `users.safetensors` and `users.idx` into the folder `dir`; each is written under another name and renamed.
    ///
    /// # Errors
    ///
    /// [`BundleError::Field`] with the id when two users have the same one; [`BundleError::Write`].
    pub fn write(&self, dir: &Path) -> Result<(), BundleError> {
        let mut start = 0;
        let ids: Vec<&str> = self
            .ends
            .iter()
            .map(|end| self.ids.get(std::mem::replace(&mut start, *end)..*end).unwrap_or_default())
            .collect();
        let index = index::build(&ids).map_err(|row| {
            let found = format!("{:?} again in row {row}", ids.get(row).copied().unwrap_or_default());
            BundleError::field(&dir.join(USER_INDEX), "ids", "each once", found)
        })?;
        write_file(&dir.join(USER_INDEX), &index)?;
        write_file(&dir.join(USER_ROWS), &self.rows(dir)?)
    }

    fn rows(&self, dir: &Path) -> Result<Vec<u8>, BundleError> {
        let dtype = match self.precision {
            Precision::F32 => Dtype::F32,
            Precision::F16 => Dtype::F16,
        };
        let tensor = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data);
        let tensors = tensor(dtype, &[self.len(), self.dim], &self.embedding).and_then(|embedding| {
            let preference = tensor(Dtype::F32, &[self.len()], &self.preference)?;
            let interactions = tensor(Dtype::I32, &[self.len()], &self.interactions)?;
            let certainty = tensor(Dtype::F32, &[self.len()], &self.certainty)?;
            Ok([
                ("embedding", embedding),
                ("preference", preference),
                ("interactions", interactions),
                ("certainty", certainty),
            ])
        });
        tensors
            .and_then(|tensors| safetensors::serialize(tensors, None))
            .map_err(|error| BundleError::syntax(&dir.join(USER_ROWS), error))
    }

    fn holds(&self, value: f32) -> bool {
        match self.precision {
            Precision::F32 => value.is_finite(),
            Precision::F16 => f16::from_f32(value).is_finite(),
        }
    }
}

/// Writes a file under another name and renames it, so that no reader sees a partial file.
fn write_file(file: &Path, content: &[u8]) -> Result<(), BundleError> {
    let partial = file.with_extension("partial");
    fs::write(&partial, content).map_err(BundleError::write(&partial))?;
    fs::rename(&partial, file).map_err(BundleError::write(file))
}
