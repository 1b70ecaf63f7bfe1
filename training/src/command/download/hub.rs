//! The hub's client: lists the files of a data set, and fetches one into its place.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, bail};
use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

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
    repo: Repo,
    partial: PathBuf,
}

/// A file as the hub describes it.
pub(super) struct Remote {
    /// Path in the data set, as it stands in URLs.
    path: String,
    pub(super) size: u64,
    /// Hash of large files; of small ones the hub gives another kind of tag.
    sha256: Option<String>,
}

/// Passes the client's reports on.
struct Reports<'a>(Arrived<'a>);

impl Hub {
    pub(super) fn new(args: &Download, endpoint: &str, token: Option<String>) -> Result<Self> {
        let partial = args.out.join(PARTIAL);
        let builder = ApiBuilder::from_cache(Cache::new(partial.clone())).with_token(token);
        let builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned()).with_progress(false);
        let api = builder.build().context("a client of the hub")?;
        let repo = Repo::with_revision(args.dataset.clone(), RepoType::Dataset, args.revision.clone());
        Ok(Self { api, repo, partial })
    }

    /// Lists the files of the data set.
    pub(super) fn files(&self) -> Result<Vec<String>> {
        let dataset = self.repo.url();
        let info = self.repo().info().map_err(named).with_context(|| format!("list the files of {dataset}"))?;
        Ok(info.siblings.into_iter().map(|file| file.rfilename).collect())
    }

    /// Asks for size and hash of a file.
    pub(super) fn remote(&self, file: &str) -> Result<Remote> {
        let path = utf8_percent_encode(file, &PATH).to_string();
        let found = self.api.metadata(&self.repo().url(&path)).map_err(named)?;
        let is_sha256 = |tag: &&str| tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sha256 = Some(found.etag()).filter(is_sha256).map(str::to_owned);
        Ok(Remote { path, size: found.size() as u64, sha256 })
    }

    /// Fetches what is missing of a file, checks size and hash, then puts it in place.
    pub(super) fn save(&self, remote: &Remote, target: &Path, arrived: Arrived<'_>) -> Result<()> {
        let link = self.repo().download_with_progress(&remote.path, Reports(arrived)).map_err(named)?;
        let whole = fs::canonicalize(&link).with_context(|| link.display().to_string())?;
        fs::remove_file(&link).with_context(|| link.display().to_string())?;
        if let Err(error) = check(&whole, remote) {
            fs::remove_file(&whole).with_context(|| whole.display().to_string())?;
            return Err(error);
        }
        let folder = target.parent().unwrap_or(target);
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        fs::rename(&whole, target).with_context(|| format!("write {}", target.display()))
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

impl Progress for Reports<'_> {
    fn init(&mut self, _size: usize, _file: &str) {}

    fn update(&mut self, bytes: usize) {
        (self.0)(bytes as u64);
    }

    fn finish(&mut self) {}
}

fn check(file: &Path, remote: &Remote) -> Result<()> {
    let mut input = fs::File::open(file).with_context(|| file.display().to_string())?;
    let mut hash = Sha256::new();
    let found = std::io::copy(&mut input, &mut hash).with_context(|| file.display().to_string())?;
    if found != remote.size {
        bail!("expected {} bytes, found {found}", remote.size);
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    match remote.sha256.as_ref().filter(|expected| !expected.eq_ignore_ascii_case(&found)) {
        Some(expected) => bail!("expected sha256 {expected}, found {found}"),
        None => Ok(()),
    }
}

/// Says what an error means for the one who runs the command.
fn named(error: ApiError) -> Error {
    let status = if let ApiError::RequestError(request) = &error
        && let ureq::Error::StatusCode(status) = **request
    {
        Some(status)
    } else {
        None
    };
    let meaning = match (&error, status) {
        (_, Some(401 | 403)) => "access denied; HF_TOKEN may name a token",
        (_, Some(404)) => "not found",
        (_, Some(_)) => "the hub refuses",
        (ApiError::InvalidResume, None) => "more bytes than the file has were fetched before: remove `.hub` there",
        (ApiError::LockAcquisition(_), None) => "another download into this folder is running",
        (ApiError::MissingHeader(_) | ApiError::InvalidHeader(_), None) => "not the response of a hub",
        _ => "the request failed",
    };
    Error::from(error).context(meaning)
}
