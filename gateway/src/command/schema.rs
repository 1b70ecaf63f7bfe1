//! `personaroute schema`: prints the JSON schema of the configuration.

use std::io::Write;

use super::Failed;
use crate::config::schema;

/// Prints the schema.
pub(super) fn schema() -> Result<(), Failed> {
    writeln!(std::io::stdout().lock(), "{}", schema::text()).map_err(Failed::io("writing to stdout"))
}
