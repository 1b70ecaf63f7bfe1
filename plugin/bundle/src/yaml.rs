//! Parses and renders YAML; errors name the file, line and column.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::BundleError;

/// Parses the content of `file`.
pub(crate) fn parse<T: DeserializeOwned>(yaml: &[u8], file: &Path) -> Result<T, BundleError> {
    serde_saphyr::from_slice(yaml).map_err(|error| BundleError::syntax(file, error))
}

/// Writes `value` as the content of `file`.
pub(crate) fn render(value: &impl Serialize, file: &Path) -> Result<String, BundleError> {
    serde_saphyr::to_string(value).map_err(|error| BundleError::syntax(file, error))
}
