//! One upstream at run time.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::Full;

use super::{Body, Breaker, Failure, Offered, http_client::HttpClient, simulated, translated::Translated};
use crate::{
    api::Wire,
    config::{self, Kind, Upstream},
};

/// A configured upstream with its connections.
#[derive(Debug)]
pub struct Peer {
    /// What the configuration says.
    pub config: Arc<Upstream>,
    /// Whether it is left alone.
    pub breaker: Breaker,
    client: HttpClient,
}

/// One request to an upstream.
#[derive(Debug)]
pub struct Call<'a> {
    /// Its format.
    pub wire: Wire,
    /// The client's query string.
    pub query: Option<&'a str>,
    /// The headers that travel.
    pub headers: &'a HeaderMap,
    /// The body, with the upstream's own name of the model.
    pub body: Bytes,
    /// What the simulated kind tells about the choice.
    pub offered: Offered<'a>,
}

impl Peer {
    /// Returns the upstream that `config` describes.
    pub fn new(
        config: Arc<Upstream>,
        tls: &Arc<rustls::ClientConfig>,
        connect: Duration,
        breaker: config::Breaker,
    ) -> Self {
        Self { config, breaker: Breaker::new(breaker), client: HttpClient::new(tls, connect) }
    }

    /// Returns whether the upstream serves requests of format `wire`.
    pub fn speaks(&self, wire: Wire) -> bool {
        match (self.config.kind, wire) {
            (Kind::Openai, Wire::Chat | Wire::Completions | Wire::Embeddings | Wire::Responses) => true,
            // Chat is translated.
            (Kind::Anthropic, Wire::Messages | Wire::Chat) => true,
            (Kind::Simulated, Wire::Chat | Wire::Messages) => true,
            (Kind::Openai, Wire::Messages) => false,
            (Kind::Anthropic, Wire::Completions | Wire::Embeddings | Wire::Responses) => false,
            (Kind::Simulated, Wire::Completions | Wire::Embeddings | Wire::Responses) => false,
        }
    }

    /// Sends `call`. Dropping the future, or the response's body, cancels it.
    ///
    /// # Errors
    ///
    /// Fails when no answer begins; an answer with an error status is an answer.
    pub async fn send(&self, call: Call<'_>) -> Result<Response<Body>, Failure> {
        if !self.speaks(call.wire) {
            return Err(Failure::Unsupported);
        }
        match &self.config.base_url {
            Some(base) if self.config.kind == Kind::Anthropic && call.wire == Wire::Chat => {
                let translated = Translated::request(&call.body)?;
                let call = Call { wire: Wire::Messages, body: translated.body.clone(), ..call };
                let mut request = self.request(base, call)?;
                Translated::complete(request.headers_mut());
                translated.answer(self.client.send(request).await?).await
            }
            Some(base) => self.client.send(self.request(base, call)?).await,
            None => Ok(simulated::answer(&call, self.config.pace)),
        }
    }

    fn request(&self, base: &Uri, call: Call<'_>) -> Result<Request<Full<Bytes>>, Failure> {
        let uri = target(base, call.wire, call.query).map_err(Failure::Request)?;
        let mut headers = call.headers.clone();
        self.authorize(&mut headers).map_err(|error| Failure::Request(error.into()))?;
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// The upstream's key takes the place of the client's; without one the client's own credentials go through.
    fn authorize(&self, headers: &mut HeaderMap) -> Result<(), http::header::InvalidHeaderValue> {
        for (name, text) in &self.config.headers {
            if let Ok(name) = HeaderName::try_from(name) {
                headers.insert(name, HeaderValue::try_from(text)?);
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

fn target(base: &Uri, wire: Wire, query: Option<&str>) -> Result<Uri, http::Error> {
    let path = format!("{}{}", base.path().trim_end_matches('/'), wire.suffix());
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
        let at = |base: &str, query| target(&base.parse().unwrap(), Wire::Chat, query).unwrap().to_string();
        assert_eq!(at("https://api.openai.com/v1", None), "https://api.openai.com/v1/chat/completions");
        assert_eq!(at("http://h:1/v1/", Some("a=b")), "http://h:1/v1/chat/completions?a=b");
    }
}
