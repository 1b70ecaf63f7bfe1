//! `personaroute interactions`: what users have said, as Parquet files.

use std::{io::Write, path::Path};

use http::Method;
use serde_json::Value;

use super::{Failed, operator::Operator};
use crate::{
    cli,
    learning::{
        Interaction, Page,
        export::{Exporter, day_start},
    },
};

/// Runs the command.
pub(super) fn interactions(command: &cli::Interactions, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Failed> {
    let cli::Interactions::Export { out, since, learned } = command;
    let since = day_start(since.as_deref().map(millis).transpose()?.unwrap_or(0));
    export(&Operator::find(learned, env)?, out, since)
}

/// Writes what arrived at `since` or later, in milliseconds since 1970.
fn export(operator: &Operator, out: &Path, since: u64) -> Result<(), Failed> {
    let mut exporter = Exporter::new(out)?;
    let mut path = format!("/interactions?since={since}");
    loop {
        let page = operator.call(Method::GET, &path, Vec::new())?;
        let page: Page<Interaction> =
            serde_json::from_value(page).map_err(|error| Failed::Input(format!("a page of interactions: {error}")))?;
        exporter.add(page.rows)?;
        let Some(next) = page.next else { break };
        path = format!("/interactions?since={since}&after={next}");
    }
    let report: Value = exporter.finish()?;
    writeln!(std::io::stdout().lock(), "{report:#}").map_err(Failed::io("writing to stdout"))
}

/// Reads a day or a time.
fn millis(text: &str) -> Result<u64, Failed> {
    let written = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    let timestamp: Result<jiff::Timestamp, _> = written.parse();
    let millis = timestamp.ok().and_then(|timestamp| u64::try_from(timestamp.as_millisecond()).ok());
    millis.ok_or_else(|| Failed::Usage(format!("--since {text}: expected 2026-11-30 or 2026-11-30T12:00:00Z")))
}
