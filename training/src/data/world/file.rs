//! The world on disk: `world.json` beside the users that were drawn from it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{KEY, WorldKind};
use crate::data::error::DataError;
use crate::data::open;

/// Name of the file.
const FILE: &str = "world.json";

/// All that users, their ids given, are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldId {
    /// What users are like.
    pub world: WorldKind,
    /// Key of the hashes.
    #[serde(default = "key")]
    pub key: u64,
}

impl WorldId {
    /// Writes the world of a data folder.
    pub fn write(self, folder: &Path) -> Result<(), DataError> {
        let file = folder.join(FILE);
        let json = serde_json::to_vec(&self)
            .map_err(|error| DataError::format(&file, "a world that can be written", error.to_string()))?;
        std::fs::write(&file, json).map_err(|source| DataError::write(&file, source))
    }

    /// Reads the world of a data folder; nothing where its users are not simulated, or only explained by preferences.
    pub fn read(folder: &Path) -> Result<Option<Self>, DataError> {
        let file = folder.join(FILE);
        if !file.is_file() {
            return Ok(None);
        }
        let expected = "a JSON object with world (line, taste, choice or persona) and key";
        let id = serde_json::from_slice(&open::bytes(&file)?);
        id.map(Some).map_err(|error| DataError::format(&file, expected, error.to_string()))
    }
}

fn key() -> u64 {
    KEY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_read_back_and_another_file_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(WorldId::read(folder.path()).unwrap(), None);
        let id = WorldId { world: WorldKind::Persona, key: 7 };
        id.write(folder.path()).unwrap();
        assert_eq!(WorldId::read(folder.path()).unwrap(), Some(id));
        std::fs::write(folder.path().join(FILE), r#"{"world": "flat"}"#).unwrap();
        let error = WorldId::read(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("world.json: expected a JSON object with world (line, taste, choice or persona)"),
            "{error}"
        );
    }
}
