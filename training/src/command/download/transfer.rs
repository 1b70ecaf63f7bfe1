//! Requests to the hub and to the hosts that it redirects to: its token is shown to itself alone.

use anyhow::{Context, Error, Result, bail};
use ureq::http::header::{AUTHORIZATION, CONTENT_RANGE, ETAG, HeaderMap, LOCATION, RANGE};
use ureq::http::uri::{Parts, Uri};
use ureq::http::{HeaderName, Response};
use ureq::{Agent, Body};

/// Most redirects of one request.
const REDIRECTS: usize = 10;
/// The tag of the file that a redirect leads to.
const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");

/// A client of one hub.
#[derive(Clone)]
pub(super) struct Client {
    agent: Agent,
    endpoint: Uri,
    token: Option<String>,
}

/// What was found at the end of all redirects.
pub(super) struct Found {
    pub(super) response: Response<Body>,
    /// The first tag of the file on the way, without quotes.
    pub(super) tag: Option<String>,
}

impl Client {
    pub(super) fn new(endpoint: &str, token: Option<String>) -> Result<Self> {
        let agent = Agent::config_builder().max_redirects(0).max_redirects_will_error(false).build().into();
        let uri: Uri = endpoint.parse().with_context(|| format!("the hub `{endpoint}` is not a URL"))?;
        if uri.scheme().is_none() || uri.authority().is_none() {
            bail!("the hub `{endpoint}` is not a URL such as https://host");
        }
        Ok(Self { agent, endpoint: uri, token })
    }

    /// Asks for the bytes of a file from `first` to `last`, or to its end.
    pub(super) fn get(&self, url: &str, first: u64, last: Option<u64>) -> Result<Found> {
        let range = format!("bytes={first}-{}", last.map(|last| last.to_string()).unwrap_or_default());
        let mut url: Uri = url.parse().with_context(|| format!("`{url}` is not a URL"))?;
        let mut tag = None;
        for _ in 0..=REDIRECTS {
            let response = self.call(&url, &range)?;
            tag = tag.or_else(|| tag_of(response.headers()));
            if !response.status().is_redirection() {
                return Ok(Found { response, tag });
            }
            url = target(&url, response.headers())?;
        }
        bail!("the hub redirects more than {REDIRECTS} times");
    }

    fn call(&self, url: &Uri, range: &str) -> Result<Response<Body>> {
        let mut request = self.agent.get(url).header(RANGE, range);
        if let Some(token) = self.token.as_deref().filter(|_| self.is_hub(url)) {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request.call().map_err(|error| {
            let meaning = meaning(&error);
            Error::from(error).context(meaning)
        })
    }

    /// True for the hub's own scheme, host and port.
    fn is_hub(&self, url: &Uri) -> bool {
        url.scheme() == self.endpoint.scheme() && url.authority() == self.endpoint.authority()
    }
}

impl Found {
    /// Returns the size of the whole file, of which the response has a part.
    pub(super) fn whole_size(&self) -> Option<u64> {
        let range = self.response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
        range.rsplit('/').next()?.parse().ok()
    }
}

fn tag_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(LINKED_ETAG).or_else(|| headers.get(ETAG))?.to_str().ok()?;
    Some(value.trim_start_matches("W/").trim_matches('"').to_owned())
}

/// Returns where a redirect leads: to another host, or to another path of the same.
fn target(from: &Uri, headers: &HeaderMap) -> Result<Uri> {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.context("not the response of a hub: a redirect without a location")?;
    let to: Uri = location.parse().with_context(|| format!("the hub redirects to `{location}`"))?;
    if to.scheme().is_some() {
        return Ok(to);
    }
    if !location.starts_with('/') {
        bail!("the hub redirects to `{location}`, which is neither a URL nor a path");
    }
    let mut parts = Parts::from(from.clone());
    parts.path_and_query = to.into_parts().path_and_query;
    Uri::from_parts(parts).with_context(|| format!("the hub redirects to `{location}`"))
}

/// Says what an error means for the one who runs the command.
pub(super) fn meaning(error: &ureq::Error) -> &'static str {
    let ureq::Error::StatusCode(status) = error else { return "the request failed" };
    match status {
        401 | 403 => "access denied; HF_TOKEN may name a token",
        404 => "not found",
        _ => "the hub refuses",
    }
}
