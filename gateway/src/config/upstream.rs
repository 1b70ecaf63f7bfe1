//! The services that answer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::Uri;

pub use super::raw::{Kind, OutputLimit, ResponsesApi};
use super::{
    ClientTls, Probe,
    error::{Fault, Rejection},
    folder::Folder,
    header,
    located::Located,
    range::value,
    raw,
    secret::{Env, Secret},
};

/// A service that answers for one or more LLMs.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its name in logs, metrics and model entries.
    pub name: String,
    /// Which protocol it speaks.
    pub kind: Kind,
    /// Where it is; none for the simulated kind.
    pub base_url: Option<Uri>,
    /// The key that it is called with; none forwards the client's own credentials.
    pub api_key: Option<Secret>,
    /// Its own TLS settings; none uses the public certificate authorities.
    pub tls: Option<ClientTls>,
    /// Headers added to each call.
    pub headers: BTreeMap<String, Secret>,
    /// Health checks between requests; none switches them off.
    pub health: Option<Probe>,
    /// The field that limits the output of requests that are translated for it.
    pub output_limit: OutputLimit,
    /// How it serves `/v1/responses`, if its kind is `openai`.
    pub responses: ResponsesApi,
    /// Pause between the chunks of a simulated response.
    pub chunk_delay: Duration,
}

/// Returns the upstreams by name.
pub(super) fn check(
    raw: &Located<Vec<raw::Upstream>>,
    folder: &Folder<'_>,
    env: Env<'_>,
) -> Result<BTreeMap<String, Arc<Upstream>>, Rejection> {
    if raw.is_empty() {
        return Err(raw.reject(Fault::Empty("upstreams")));
    }
    let mut upstreams = BTreeMap::new();
    for written in &raw.value {
        let upstream = Arc::new(Upstream::check(written, folder, env)?);
        if upstreams.insert(upstream.name.clone(), upstream).is_some() {
            let name = written.name.value.clone();
            return Err(written.name.reject(Fault::Duplicate { what: "upstream", name }));
        }
    }
    Ok(upstreams)
}

impl Upstream {
    fn check(raw: &raw::Upstream, folder: &Folder<'_>, env: Env<'_>) -> Result<Self, Rejection> {
        let base_url = raw.base_url.as_ref().map(base_url).transpose()?;
        if base_url.is_none() && raw.kind != Kind::Simulated {
            let upstream = raw.name.value.clone();
            let fault = Fault::MissingKey { upstream, kind: raw.kind.as_str(), key: "base_url" };
            return Err(raw.name.reject(fault));
        }
        let api_key = raw.api_key.as_ref().map(|written| Secret::resolve("api_key", written, env)).transpose()?;
        Ok(Self {
            name: raw.name.value.clone(),
            kind: raw.kind,
            base_url,
            api_key,
            tls: ClientTls::check(raw, folder, env)?,
            headers: header::check("headers", &raw.headers, env)?,
            health: raw.health.as_ref().map(Probe::check).transpose()?,
            output_limit: raw.output_limit,
            responses: raw.responses,
            chunk_delay: raw.chunk_delay.0,
        })
    }
}

fn base_url(written: &Located<String>) -> Result<Uri, Rejection> {
    // A URL that cannot be parsed is checked too: it is printed in logs and by `personaroute check`.
    if has_credentials(written) {
        let expected = "must not contain a user or a password: use `api_key`";
        return Err(written.reject(value("base_url", expected, "USER@")));
    }
    let uri: Option<Uri> = written.parse().ok();
    let is_url = |uri: &Uri| is_http(uri) && uri.query().is_none();
    uri.filter(is_url)
        .ok_or_else(|| written.reject(value("base_url", "must be an http or https URL without query", &written.value)))
}

/// Returns whether the authority of `url` has a user or a password.
pub(super) fn has_credentials(url: &str) -> bool {
    let rest = url.split_once("//").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// Returns whether `uri` is an absolute http or https URL.
pub(super) fn is_http(uri: &Uri) -> bool {
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
}
