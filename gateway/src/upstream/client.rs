//! One upstream at run time: its configuration, its circuit breaker and its connections.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;

use super::{
    Body, Breaker, Failure, Protocol, UpstreamRequest,
    http_client::{ConnectionLimits, HttpClient},
    simulated, translated,
};
use crate::{
    api::Wire,
    config::{self, ClientTls, Kind, Upstream as UpstreamConfig},
};

/// A configured upstream with its connections.
#[derive(Debug)]
pub struct Upstream {
    /// The configuration.
    pub config: Arc<UpstreamConfig>,
    /// The circuit breaker of the whole upstream; each endpoint has one of its own.
    pub breaker: Breaker,
    client: HttpClient,
    limits: ConnectionLimits,
    /// The URI of each wire format, computed by the first request of that format.
    request_uris: [OnceLock<Uri>; Wire::COUNT],
}

impl Upstream {
    /// Returns the upstream that `config` describes; `tls` are the settings of upstreams without their own.
    pub fn new(
        config: Arc<UpstreamConfig>,
        tls: &Arc<rustls::ClientConfig>,
        limits: ConnectionLimits,
        breaker: config::Breaker,
    ) -> Self {
        let tls = config.tls.as_ref().map_or(&**tls, ClientTls::settings);
        let client = HttpClient::new(tls, limits);
        Self { config, breaker: Breaker::new(breaker), client, limits, request_uris: Default::default() }
    }

    /// Returns whether both have the same configuration, so that one can replace the other without losing its state.
    pub fn has_same_config(&self, other: &Self) -> bool {
        self.config == other.config
            && self.limits == other.limits
            && self.breaker.settings() == other.breaker.settings()
    }

    /// Returns the protocol for requests of format `wire`; none if the upstream does not serve the format.
    pub fn protocol(&self, wire: Wire) -> Option<Protocol> {
        Protocol::of(self.config.kind, self.config.responses, wire)
    }

    /// Sends `request` and returns the response in the upstream's format. Dropping the future or the body cancels the call.
    ///
    /// # Errors
    ///
    /// Fails if no response starts. A response with an error status is not a failure here.
    pub async fn send(&self, request: UpstreamRequest<'_>) -> Result<Response<Body>, Failure> {
        let Some(base) = &self.config.base_url else {
            return Ok(simulated::response(&request, self.config.chunk_delay));
        };
        let Some(translation) = request.translation else {
            let uri = self.request_uri(base, request.wire, request.query).map_err(Failure::Request)?;
            return self.client.send(self.http_request(uri, request)?).await;
        };
        let wire = translation.wire();
        let headers = translated::headers(&request.headers, wire);
        // Query parameters of one format mean nothing in the other.
        let request = UpstreamRequest { wire, query: None, headers, ..request };
        let uri = self.request_uri(base, wire, None).map_err(Failure::Request)?;
        self.client.send(self.http_request(uri, request)?).await
    }

    /// Sends `request`, which is in the upstream's format, to `path` below the base URL.
    ///
    /// # Errors
    ///
    /// Fails if no response starts, or if the upstream is simulated.
    pub async fn send_to(&self, path: &str, request: UpstreamRequest<'_>) -> Result<Response<Body>, Failure> {
        let base = self.config.base_url.as_ref().ok_or(Failure::Unsupported)?;
        let uri = join_path(base, path, request.query).map_err(Failure::Request)?;
        self.client.send(self.http_request(uri, request)?).await
    }

    /// Closes connections that have been idle for too long.
    pub fn close_idle(&self) {
        self.client.close_idle();
    }

    /// Sends a GET request for `path` under the base URL and returns the status; the simulated kind is always healthy.
    ///
    /// # Errors
    ///
    /// Fails if no response starts.
    pub async fn probe(&self, path: &str) -> Result<StatusCode, Failure> {
        let Some(base) = &self.config.base_url else {
            return Ok(StatusCode::OK);
        };
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = join_path(base, path, None).map_err(Failure::Request)?;
        self.authorize(request.headers_mut()).map_err(|error| Failure::Request(error.into()))?;
        Ok(self.client.send(request).await?.status())
    }

    fn http_request(&self, uri: Uri, request: UpstreamRequest<'_>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut headers = request.headers;
        self.authorize(&mut headers).map_err(|error| Failure::Request(error.into()))?;
        let mut http_request = Request::new(Full::new(request.body));
        *http_request.method_mut() = Method::POST;
        *http_request.uri_mut() = uri;
        *http_request.headers_mut() = headers;
        Ok(http_request)
    }

    fn request_uri(&self, base: &Uri, wire: Wire, query: Option<&str>) -> Result<Uri, http::Error> {
        let known = self.request_uris.get(wire as usize).filter(|_| query.is_none());
        if let Some(target) = known.and_then(OnceLock::get) {
            return Ok(target.clone());
        }
        let target = join_path(base, wire.suffix(), query)?;
        if let Some(known) = known {
            let _already = known.set(target.clone());
        }
        Ok(target)
    }

    /// Replaces the client's credentials with the upstream's API key. Without a configured key they are forwarded.
    fn authorize(&self, headers: &mut HeaderMap) -> Result<(), http::header::InvalidHeaderValue> {
        for (name, secret) in &self.config.headers {
            if let Ok(name) = HeaderName::try_from(name) {
                let mut value = HeaderValue::try_from(secret.expose())?;
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        let Some(key) = &self.config.api_key else {
            return Ok(());
        };
        headers.remove(header::AUTHORIZATION);
        headers.remove("x-api-key");
        let (name, text) = match self.config.kind {
            Kind::Anthropic => (HeaderName::from_static("x-api-key"), key.expose().to_owned()),
            Kind::Openai | Kind::Simulated => (header::AUTHORIZATION, format!("Bearer {}", key.expose())),
        };
        let mut value = HeaderValue::try_from(text)?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    }
}

fn join_path(base: &Uri, suffix: &str, query: Option<&str>) -> Result<Uri, http::Error> {
    let path = format!("{}{suffix}", base.path().trim_end_matches('/'));
    let path_and_query = query.map_or(path.clone(), |query| format!("{path}?{query}"));
    let mut parts = http::uri::Parts::default();
    parts.scheme = base.scheme().cloned();
    parts.authority = base.authority().cloned();
    parts.path_and_query = Some(path_and_query.parse()?);
    Ok(Uri::from_parts(parts)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_goes_below_the_base_url_and_the_query_stays() {
        let at = |base: &str, query| join_path(&base.parse().unwrap(), Wire::Chat.suffix(), query).unwrap().to_string();
        assert_eq!(at("https://api.openai.com/v1", None), "https://api.openai.com/v1/chat/completions");
        assert_eq!(at("http://h:1/v1/", Some("a=b")), "http://h:1/v1/chat/completions?a=b");
    }
}
