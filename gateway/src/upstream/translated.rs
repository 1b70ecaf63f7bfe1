//! Calls to an upstream that speaks the other format: the client's headers for it, its answer for the client.

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use super::{Body, Failure, body, body::BodyError};
use crate::api::{
    Wire,
    translate::{Stream, Translation},
};

/// Most bytes of an answer in one piece: the largest context windows' answers are far below.
const LONGEST: usize = 32 << 20;

/// The version of Anthropic's interface that the translation is written for.
const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// Returns the client's `headers` as upstreams of format `wire` read them: its credentials under the other name, and
/// nothing that only the client's own format means.
pub(super) fn headers(headers: &HeaderMap, wire: Wire) -> HeaderMap {
    let is_to_anthropic = wire == Wire::Messages;
    let foreign = if is_to_anthropic { "openai-" } else { "anthropic-" };
    let mut kept = headers.clone();
    for name in headers.keys().filter(|name| name.as_str().starts_with(foreign)) {
        kept.remove(name);
    }
    if is_to_anthropic {
        kept.entry("anthropic-version").or_insert(VERSION);
        let bearer = kept.remove(header::AUTHORIZATION);
        let key = bearer.as_ref().and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
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

/// Returns the upstream's `response` in the client's words; a stream is translated as it comes.
pub(super) async fn answer(translation: &Translation, response: Response<Body>) -> Result<Response<Body>, Failure> {
    let (mut head, body) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if head.status.is_success() && kind.starts_with("text/event-stream") {
        return Ok(Response::from_parts(head, events(body, translation.stream())));
    }
    let whole = whole(body).await.map_err(Failure::Closed)?;
    let written = match head.status.is_success() {
        true => translation.answer(whole),
        false => translation.error(head.status.as_u16(), whole),
    };
    Ok(Response::from_parts(head, body::full(written)))
}

async fn whole(mut body: Body) -> Result<Bytes, BodyError> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else {
            continue;
        };
        if read.len() + piece.len() > LONGEST {
            return Err("the answer is too long to translate".into());
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}

fn events(body: Body, translator: Stream) -> Body {
    let frames = stream::unfold((Some(body), translator), |(mut body, mut translator)| async move {
        loop {
            let text = match body.as_mut()?.frame().await {
                Some(Ok(frame)) => frame.into_data().map(|piece| translator.push(piece)).unwrap_or_default(),
                Some(Err(error)) => return Some((Err(error), (None, translator))),
                None => {
                    body = None;
                    translator.finish()
                }
            };
            if !text.is_empty() {
                return Some((Ok::<_, BodyError>(Frame::data(Bytes::from(text))), (body, translator)));
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
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
    fn credentials_change_their_name_and_foreign_headers_stay_behind() {
        let openai = [("authorization", "Bearer k"), ("openai-organization", "o"), ("traceparent", "t")];
        let expected = [("anthropic-version", "2023-06-01"), ("traceparent", "t"), ("x-api-key", "k")];
        assert_eq!(translated(Wire::Messages, &openai), pairs(&expected));
        let anthropic = [("x-api-key", "k"), ("anthropic-version", "v"), ("anthropic-beta", "b"), ("traceparent", "t")];
        assert_eq!(translated(Wire::Chat, &anthropic), pairs(&[("authorization", "Bearer k"), ("traceparent", "t")]));
    }
}
