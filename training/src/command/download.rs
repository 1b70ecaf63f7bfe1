//! `download`: fetches the files of PersonaRoute-Bench from the hub, resuming what an interruption left.

use anyhow::Result;

use crate::cli::Download;

/// Fetches every file that is not there yet.
pub fn run(args: &Download) -> Result<()> {
    anyhow::bail!("{} {}", args.dataset, args.out.display())
}
