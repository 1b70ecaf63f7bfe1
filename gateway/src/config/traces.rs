//! Where traces are sent, and which requests are traced.

mod environment;

use std::collections::BTreeMap;

use http::Uri;

use super::{
    error::{Error, Rejection},
    header,
    range::{share, value},
    raw,
    secret::{Env, Secret},
    upstream::{has_credentials, is_http},
};

/// Where traces are sent, and which requests are traced.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// The URL to which spans are posted.
    pub endpoint: Uri,
    /// Headers of each post, such as a vendor's key.
    pub headers: BTreeMap<String, Secret>,
    /// Which requests are traced.
    pub sampling: Sampling,
    /// What describes this process: `service.name` and the attributes of the environment.
    pub resource: BTreeMap<String, String>,
}

/// Which requests are traced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The share of traces that are kept, 0 to 1.
    pub share: f64,
    /// Whether the sampling flag of a `traceparent` decides.
    pub follows_parent: bool,
}

/// The traces of the file, which the environment may override.
#[derive(Debug)]
pub(super) struct FileTraces {
    endpoint: Option<Uri>,
    headers: BTreeMap<String, Secret>,
    sampling: Sampling,
    service: String,
}

impl FileTraces {
    /// Checks the section of the file.
    pub(super) fn check(raw: &raw::Traces, env: Env<'_>) -> Result<Self, Rejection> {
        let endpoint = raw.endpoint.as_ref().map(|written| {
            let key = "traces.endpoint";
            if has_credentials(written) {
                let expected = "must not contain a user or a password: use `traces.headers`";
                return Err(written.reject(value(key, expected, "USER@")));
            }
            let refused = || written.reject(value(key, "must be an http or https URL", &written.value));
            traces_below(written).ok_or_else(refused)
        });
        Ok(Self {
            endpoint: endpoint.transpose()?,
            headers: header::check("traces.headers", &raw.headers, env)?,
            sampling: Sampling { share: share("traces.sample", &raw.sample)?, follows_parent: true },
            service: raw.service.clone(),
        })
    }

    /// Returns the traces in effect: OpenTelemetry's environment variables override the file. None if there is no endpoint.
    pub(super) fn in_environment(self, env: Env<'_>) -> Result<Option<Traces>, Error> {
        environment::apply(self, env)
    }
}

/// Returns the URL for traces below a collector's base URL, as the standard defines it.
fn traces_below(base: &str) -> Option<Uri> {
    http_url(base)?;
    http_url(&format!("{}/v1/traces", base.trim_end_matches('/')))
}

fn http_url(text: &str) -> Option<Uri> {
    text.parse().ok().filter(is_http)
}

#[cfg(test)]
mod tests;
