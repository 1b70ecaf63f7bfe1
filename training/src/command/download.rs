//! `download`: fetches the files of PersonaRoute-Bench from the hub, skipping what is there, resuming what was cut.

mod hub;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::progress::Bar;
use super::{note, print};
use crate::cli::Download;
use hub::{Hub, Remote};

/// The public hub; `HF_ENDPOINT` names another.
const ENDPOINT: &str = "https://huggingface.co";

/// Fetches every file that is not there yet.
pub fn run(args: &Download) -> Result<()> {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = named("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime for the network")?;
    runtime.block_on(fetch(args, &Hub::new(&endpoint, named("HF_TOKEN"))?))
}

async fn fetch(args: &Download, hub: &Hub) -> Result<()> {
    let files = hub.files(&args.dataset, &args.revision).await?;
    if files.is_empty() {
        bail!("{}: the hub lists no file of this data set", args.dataset);
    }
    let mut fetched = 0;
    for file in &files {
        let target = target(&args.out, &file.path)?;
        if target.metadata().is_ok_and(|found| found.len() == file.size) {
            continue;
        }
        if !args.quiet {
            note(&format!("{} ({:.1} MB)", file.path, file.size as f64 / 1e6));
        }
        one(args, hub, file, &target).await.with_context(|| format!("fetch {}", file.path))?;
        fetched += 1;
    }
    let (out, all) = (args.out.display(), files.len());
    print(&format!("{out}: {fetched} files fetched, {} were there", all - fetched))
}

/// Fetches into `NAME.part`, checks size and hash, then puts the file in place.
async fn one(args: &Download, hub: &Hub, file: &Remote, target: &Path) -> Result<()> {
    let folder = target.parent().unwrap_or(&args.out);
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let mut part = target.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let bar = Bar::count(args.quiet, "bytes", file.size);
    hub.save(&args.dataset, &args.revision, file, &part, |bytes| bar.advance(bytes)).await?;
    let found = part.metadata().map_or(0, |part| part.len());
    if found != file.size {
        bail!("expected {} bytes, found {found}: run the command again to go on", file.size);
    }
    if let Some(expected) = &file.sha256 {
        let found = sha256(&part)?;
        if found != *expected {
            std::fs::remove_file(&part).with_context(|| format!("remove {}", part.display()))?;
            bail!("expected sha256 {expected}, found {found}");
        }
    }
    std::fs::rename(&part, target).with_context(|| format!("write {}", target.display()))
}

/// Returns the place of a file below `out`; the hub's word is not trusted to stay there.
fn target(out: &Path, path: &str) -> Result<PathBuf> {
    let plain = path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '\0']));
    if plain { Ok(out.join(path)) } else { bail!("the hub lists a file outside the folder: {path}") }
}

fn sha256(file: &Path) -> Result<String> {
    let mut input = std::fs::File::open(file).with_context(|| file.display().to_string())?;
    let mut hash = Sha256::new();
    std::io::copy(&mut input, &mut hash).with_context(|| file.display().to_string())?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests;
