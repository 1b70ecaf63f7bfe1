//! The hub's two calls that a download needs: list the files of a data set, fetch one from where it was cut.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use http::header::{AUTHORIZATION, LOCATION, RANGE, USER_AGENT};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use serde::Deserialize;

/// Hops from the hub to where the bytes lie.
const REDIRECTS: usize = 5;
/// Most bytes of a listing.
const LISTING: usize = 16 << 20;

/// A client of one hub.
pub(super) struct Hub {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    endpoint: String,
    token: Option<String>,
}

/// A file of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) path: String,
    pub(super) size: u64,
    /// Known for large files only.
    pub(super) sha256: Option<String>,
}

/// An entry of the listing as the hub writes it.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
}

impl Hub {
    pub(super) fn new(endpoint: &str, token: Option<String>) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let tls = tls.with_webpki_roots().with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, endpoint: endpoint.trim_end_matches('/').to_owned(), token })
    }

    /// Lists the files of a data set at a revision.
    pub(super) async fn files(&self, dataset: &str, revision: &str) -> Result<Vec<Remote>> {
        let url = format!("{}/api/datasets/{dataset}/tree/{revision}?recursive=true", self.endpoint);
        let response = self.get(&url, 0).await?;
        expect(&response, &[StatusCode::OK], &url)?;
        let body = http_body_util::Limited::new(response.into_body(), LISTING);
        let bytes =
            body.collect().await.map_err(|error| anyhow::anyhow!(error)).context("read the listing")?.to_bytes();
        let entries: Vec<Entry> = serde_json::from_slice(&bytes).with_context(|| format!("{url}: not a listing"))?;
        let file = |entry: Entry| Remote { path: entry.path, size: entry.size, sha256: entry.lfs.map(|lfs| lfs.oid) };
        Ok(entries.into_iter().filter(|entry| entry.kind == "file").map(file).collect())
    }

    /// Appends to `part` what it lacks of a file; `arrived` hears of every piece.
    pub(super) async fn save(
        &self,
        dataset: &str,
        revision: &str,
        file: &Remote,
        part: &Path,
        arrived: impl Fn(u64),
    ) -> Result<()> {
        let have = part.metadata().map_or(0, |part| part.len()).min(file.size);
        if have == file.size && file.size > 0 {
            return Ok(());
        }
        let url = format!("{}/datasets/{dataset}/resolve/{revision}/{}", self.endpoint, encoded(&file.path));
        let response = self.get(&url, have).await?;
        expect(&response, &[StatusCode::OK, StatusCode::PARTIAL_CONTENT], &url)?;
        // A server that ignores the range sends everything.
        let resumed = response.status() == StatusCode::PARTIAL_CONTENT && have > 0;
        let mut output = OpenOptions::new().create(true).write(true).append(resumed).truncate(!resumed).open(part)?;
        if resumed {
            arrived(have);
        }
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(bytes) = frame.context("the connection broke")?.into_data() {
                output.write_all(&bytes).with_context(|| format!("write {}", part.display()))?;
                arrived(bytes.len() as u64);
            }
        }
        output.flush().with_context(|| format!("write {}", part.display()))
    }

    /// Gets a URL from byte `begin`, following redirects; the token goes to the hub only.
    async fn get(&self, url: &str, begin: u64) -> Result<Response<Incoming>> {
        let mut url: Uri = url.parse().with_context(|| format!("{url}: not a URL"))?;
        let home = url.authority().cloned();
        for _ in 0..=REDIRECTS {
            let mut request = Request::get(url.clone()).header(USER_AGENT, "personaroute-train");
            if begin > 0 {
                request = request.header(RANGE, format!("bytes={begin}-"));
            }
            if let Some(token) = self.token.as_ref().filter(|_| url.authority() == home.as_ref()) {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let request = request.body(Empty::new()).with_context(|| format!("{url}: not a URL to ask"))?;
            let response =
                self.client.request(request).await.with_context(|| format!("no answer from {}", place(&url)))?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let next = response.headers().get(LOCATION).and_then(|next| next.to_str().ok());
            url = redirected(&url, next.context("a redirect without a place")?)?;
        }
        bail!("more than {REDIRECTS} redirects")
    }
}

fn expect(response: &Response<Incoming>, allowed: &[StatusCode], url: &str) -> Result<()> {
    let status = response.status();
    match status {
        status if allowed.contains(&status) => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => bail!("{url}: {status}; HF_TOKEN may name a token"),
        status => bail!("{url}: {status}"),
    }
}

/// Returns where a redirect leads, which may be relative to `from`.
fn redirected(from: &Uri, next: &str) -> Result<Uri> {
    let next: Uri = next.parse().with_context(|| format!("redirected to {next}"))?;
    if next.authority().is_some() {
        return Ok(next);
    }
    let mut parts = next.into_parts();
    parts.scheme = from.scheme().cloned();
    parts.authority = from.authority().cloned();
    Uri::from_parts(parts).context("a relative redirect")
}

fn place(url: &Uri) -> String {
    url.authority().map(ToString::to_string).unwrap_or_default()
}

/// Percent-encodes what a path segment may not hold.
fn encoded(path: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
