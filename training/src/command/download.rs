//! `download`: fetches the files of PersonaRoute-Bench from the hub, skipping what is there, resuming what was cut.

mod hub;
mod transfer;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::progress::Bar;
use super::{note, print};
use crate::cli::Download;
use hub::Hub;
use watch::watch;

/// The public hub; `HF_ENDPOINT` names another.
const ENDPOINT: &str = "https://huggingface.co";

/// Fetches every file that is not there yet.
pub fn run(args: &Download) -> Result<()> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
    fetch(args, &endpoint, variable("HF_TOKEN"))
}

fn fetch(args: &Download, endpoint: &str, token: Option<String>) -> Result<()> {
    std::fs::create_dir_all(&args.out).with_context(|| format!("create {}", args.out.display()))?;
    let hub = Hub::new(args, endpoint, token)?;
    let listing = hub.clone();
    let files = watch(timeout(args), |_| (), move |_| listing.files())?;
    if files.is_empty() {
        bail!("{}: the hub lists no file of this data set", args.dataset);
    }
    let mut fetched = 0;
    for file in &files {
        let is_new = one(args, &hub, file).with_context(|| format!("fetch {file}"))?;
        fetched += usize::from(is_new);
    }
    hub.clean()?;
    let (out, all) = (args.out.display(), files.len());
    print(&format!("{out}: {fetched} files fetched, {} were there", all - fetched))
}

/// Fetches one file; returns whether it was not there yet.
fn one(args: &Download, hub: &Hub, file: &str) -> Result<bool> {
    let target = target(&args.out, file)?;
    let (client, name) = (hub.clone(), file.to_owned());
    let remote = watch(timeout(args), |_| (), move |_| client.remote(&name))?;
    if target.metadata().is_ok_and(|found| found.len() == remote.size) {
        return Ok(false);
    }
    if !args.quiet {
        note(&format!("{file} ({:.1} MB)", remote.size as f64 / 1e6));
    }
    let bar = Bar::count(args.quiet, "bytes", remote.size);
    let client = hub.clone();
    watch(timeout(args), |bytes| bar.advance(bytes), move |arrived| client.save(&remote, &target, arrived))?;
    Ok(true)
}

fn timeout(args: &Download) -> Duration {
    Duration::from_secs(args.timeout.into())
}

/// Returns the path of a file below `out`; a path that leaves it is refused.
fn target(out: &Path, path: &str) -> Result<PathBuf> {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '\0']);
    match path.split('/').all(is_plain) {
        true => Ok(out.join(path)),
        false => bail!("the hub lists a file outside the folder: {path}"),
    }
}

#[cfg(test)]
mod tests;
