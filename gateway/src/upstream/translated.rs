//! Requests to an upstream of the other format: translates the client's headers and the upstream's response.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, header, response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use super::{Body, Failure, body, body::BodyError};
use crate::api::{
    Wire, sse,
    translate::{Stream, Translation},
};

/// The version of Anthropic's API that the translation is written for.
const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// Returns the client's `headers` for an upstream of format `wire`: the credentials move to that format's header, and
/// headers that only the client's format defines are removed.
pub(super) fn headers(headers: &HeaderMap, wire: Wire) -> HeaderMap {
    let is_to_anthropic = wire == Wire::Messages;
    let other_prefix = if is_to_anthropic { "openai-" } else { "anthropic-" };
    let mut kept = headers.clone();
    // The translated body is JSON, whatever content type the client declared.
    kept.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for name in headers.keys().filter(|name| name.as_str().starts_with(other_prefix)) {
        kept.remove(name);
    }
    if is_to_anthropic {
        kept.entry("anthropic-version").or_insert(VERSION);
        let bearer = kept.remove(header::AUTHORIZATION);
        let key = bearer.as_ref().and_then(|value| {
            let (scheme, key) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then_some(key)
        });
        if let Some(Ok(key)) = key.map(HeaderValue::from_bytes) {
            kept.insert("x-api-key", key);
        }
    } else if let Some(key) = kept.remove("x-api-key") {
        let bearer = [b"Bearer ", key.as_bytes()].concat();
        if let Ok(bearer) = HeaderValue::from_bytes(&bearer) {
            kept.insert(header::AUTHORIZATION, bearer);
        }
    }
    kept
}

/// The limits of a response that is buffered for translation.
#[derive(Debug, Clone, Copy)]
pub struct BufferLimits<'a> {
    /// The upstream's name of the model, for responses that name none.
    pub model: &'a str,
    /// Longest wait for the next chunk of a buffered response.
    pub idle: Duration,
    /// Most bytes of a buffered response, or of one event of a stream.
    pub max_bytes: usize,
}

/// Translates a response that started with `head` and `first` and continues with `body` into the client's format.
/// Streams are translated event by event. Other responses are buffered first, so an unusable response can still fail over.
pub async fn response(
    translation: &Translation,
    head: &mut response::Parts,
    first: Option<Frame<Bytes>>,
    body: Body,
    bounds: BufferLimits<'_>,
) -> Result<Body, Failure> {
    head.headers.remove(header::CONTENT_LENGTH);
    if head.status.is_success() && sse::is_stream(&head.headers) {
        return Ok(event_stream(first, body, translation.stream(bounds.max_bytes, bounds.model)));
    }
    let whole = buffered(first, body, bounds).await.map_err(Failure::Closed)?;
    let written = match head.status.is_success() {
        true => translation.response(&whole, bounds.model).ok_or(Failure::Unreadable)?,
        false => translation.error(head.status.as_u16(), whole),
    };
    Ok(body::full(written))
}

async fn buffered(first: Option<Frame<Bytes>>, mut body: Body, bounds: BufferLimits<'_>) -> Result<Bytes, BodyError> {
    let mut read = BytesMut::from(first.map(data).unwrap_or_default());
    while read.len() <= bounds.max_bytes {
        match tokio::time::timeout(bounds.idle, body.frame()).await? {
            Some(frame) => read.extend_from_slice(&data(frame?)),
            None => return Ok(read.freeze()),
        }
    }
    Err("the response is too long to translate".into())
}

/// Yields one frame for each frame of the upstream, an empty one if nothing follows for the client, so that the idle
/// timeout sees that the upstream is alive.
fn event_stream(first: Option<Frame<Bytes>>, body: Body, translator: Stream) -> Body {
    let begin = (first, Some(body), translator, None::<&'static str>);
    let frames = stream::unfold(begin, |(mut first, mut body, mut translator, failure)| async move {
        if let Some(reason) = failure {
            return Some((Err(reason.into()), (None, None, translator, None)));
        }
        let next = match first.take() {
            Some(first) => Some(Ok(first)),
            None => body.as_mut()?.frame().await,
        };
        let text = match next {
            Some(Ok(frame)) => translator.push(data(frame)),
            Some(Err(error)) => return Some((Err(error), (None, None, translator, None))),
            None => {
                body = None;
                translator.finish()
            }
        };
        let failure = translator.failure();
        Some((Ok::<_, BodyError>(Frame::data(Bytes::from(text))), (None, body, translator, failure)))
    });
    Body::new(StreamBody::new(frames.fuse()))
}

/// Trailers are dropped: no format uses them.
fn data(frame: Frame<Bytes>) -> Bytes {
    frame.into_data().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(wire: Wire, pairs: &[(&'static str, &str)]) -> Vec<(String, String)> {
        let sent: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let mut kept: Vec<_> =
            headers(&sent, wire).iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        kept.sort();
        kept
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn credentials_move_to_the_other_header_and_headers_of_the_client_format_are_dropped() {
        let json = ("content-type", "application/json");
        let openai = [("authorization", "bearer k"), ("openai-organization", "o"), ("traceparent", "t")];
        let expected = [("anthropic-version", "2023-06-01"), json, ("traceparent", "t"), ("x-api-key", "k")];
        assert_eq!(translated(Wire::Messages, &openai), pairs(&expected));
        let anthropic =
            [("x-api-key", "k"), ("anthropic-version", "v"), ("content-type", "text/plain"), ("traceparent", "t")];
        let expected = [("authorization", "Bearer k"), json, ("traceparent", "t")];
        assert_eq!(translated(Wire::Chat, &anthropic), pairs(&expected));
    }
}
