//! The hub's client: lists the files of a data set, and fetches one into its place.
//!
//! `hf-hub` lists. It does not fetch: version 0.5 shows the token to the hosts that the hub redirects to, and 1.0 does not
//! resume.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, bail, ensure};
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use ureq::http::StatusCode;

use super::transfer::{self, Client};
use super::watch::Arrived;
use crate::cli::Download;

/// Folder below the data's in which files are kept until they are whole.
const PARTIAL: &str = ".hub";
/// What a path keeps in a URL.
const PATH: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A client of one data set.
#[derive(Clone)]
pub(super) struct Hub {
    api: Api,
    client: Client,
    repo: Repo,
    partial: PathBuf,
}

/// A file as the hub describes it.
pub(super) struct Remote {
    url: String,
    pub(super) size: u64,
    /// Names the content.
    tag: String,
}

impl Hub {
    pub(super) fn new(args: &Download, endpoint: &str, token: Option<String>) -> Result<Self> {
        let partial = args.out.join(PARTIAL);
        let endpoint = endpoint.trim_end_matches('/');
        let client = Client::new(endpoint, token.clone())?;
        let builder = ApiBuilder::from_cache(Cache::new(partial.clone())).with_token(token);
        let api = builder.with_endpoint(endpoint.to_owned()).build().context("a client of the hub")?;
        let repo = Repo::with_revision(args.dataset.clone(), RepoType::Dataset, args.revision.clone());
        Ok(Self { api, client, repo, partial })
    }

    /// Lists the files of the data set.
    pub(super) fn files(&self) -> Result<Vec<String>> {
        let dataset = self.repo.url();
        let info = self.repo().info().map_err(named).with_context(|| format!("list the files of {dataset}"))?;
        Ok(info.siblings.into_iter().map(|file| file.rfilename).collect())
    }

    /// Asks for size and tag of a file.
    pub(super) fn remote(&self, file: &str) -> Result<Remote> {
        let url = self.repo().url(&utf8_percent_encode(file, &PATH).to_string());
        let found = self.client.get(&url, 0, Some(0))?;
        let size = found.whole_size().context("not the response of a hub: it names no size")?;
        let tag = found.tag.context("not the response of a hub: it names no version of the file")?;
        Ok(Remote { url, size, tag })
    }

    /// Fetches what is missing of a file, checks size and hash, then puts it in place.
    pub(super) fn save(&self, remote: &Remote, target: &Path, arrived: Arrived<'_>) -> Result<()> {
        let path = self.partial.join(remote.file_name());
        fs::create_dir_all(&self.partial).with_context(|| self.partial.display().to_string())?;
        let opened = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = opened.with_context(|| path.display().to_string())?;
        file.try_lock().with_context(|| format!("another download writes {}", path.display()))?;
        self.fetch(remote, &mut file, arrived)?;
        if let Err(error) = check(&mut file, remote) {
            fs::remove_file(&path).with_context(|| path.display().to_string())?;
            return Err(error);
        }
        let folder = target.parent().unwrap_or(target);
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        fs::rename(&path, target).with_context(|| format!("write {}", target.display()))
    }

    /// Appends what is missing.
    fn fetch(&self, remote: &Remote, file: &mut File, arrived: Arrived<'_>) -> Result<()> {
        let mut there = file.seek(SeekFrom::End(0))?;
        if there > remote.size {
            there = 0;
        }
        if there < remote.size {
            let found = self.client.get(&remote.url, there, None)?;
            if found.response.status() != StatusCode::PARTIAL_CONTENT {
                // The host sends the whole file, whatever was asked for.
                there = 0;
            }
            file.set_len(there)?;
            file.seek(SeekFrom::Start(there))?;
            arrived(there);
            // One byte more than there should be is enough to find that it is another file.
            let body = found.response.into_body().into_reader().take(remote.size - there + 1);
            io::copy(&mut Counted { body, arrived }, file)
                .context("the transfer broke: run the command again to go on")?;
        }
        Ok(())
    }

    /// Removes the folder of unfinished files, after the last file.
    pub(super) fn clean(&self) -> Result<()> {
        match self.partial.is_dir() {
            true => fs::remove_dir_all(&self.partial).with_context(|| self.partial.display().to_string()),
            false => Ok(()),
        }
    }

    fn repo(&self) -> ApiRepo {
        self.api.repo(self.repo.clone())
    }
}

impl Remote {
    /// Returns the name that the file has until it is whole.
    fn file_name(&self) -> String {
        let letters = self.tag.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' });
        letters.chain(".part".chars()).collect()
    }

    /// Returns the hash that the tag of a large file is; of small files the hub gives another kind of tag.
    fn sha256(&self) -> Option<&str> {
        let is_hash = self.tag.len() == 64 && self.tag.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then_some(self.tag.as_str())
    }
}

/// A body that reports what has been read of it.
struct Counted<'a, R> {
    body: R,
    arrived: Arrived<'a>,
}

impl<R: io::Read> io::Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        (self.arrived)(read as u64);
        Ok(read)
    }
}

fn check(file: &mut File, remote: &Remote) -> Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let found = io::copy(file, &mut hash)?;
    ensure!(found == remote.size, "expected {} bytes, found {found}", remote.size);
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    match remote.sha256().filter(|expected| !expected.eq_ignore_ascii_case(&found)) {
        Some(expected) => bail!("expected sha256 {expected}, found {found}"),
        None => Ok(()),
    }
}

/// Says what an error means for the one who runs the command.
fn named(error: ApiError) -> Error {
    let meaning =
        if let ApiError::RequestError(request) = &error { transfer::meaning(request) } else { "the request failed" };
    Error::from(error).context(meaning)
}
