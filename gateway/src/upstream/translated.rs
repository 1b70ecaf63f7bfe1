//! Chat completions from an upstream that speaks Anthropic's messages.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use super::{Body, Failure, body, body::BodyError};
use crate::api::{
    Fields,
    translate::{answer, request, stream::Chunks},
};

/// Most bytes of an answer in one piece: the largest context windows' answers are far below.
const LONGEST: usize = 32 << 20;

/// The version of the interface that the translation is written for.
const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// A chat completion request in Anthropic's words, and what of it matters for the answer.
pub(super) struct Translated {
    pub(super) body: Bytes,
    with_usage: bool,
}

impl Translated {
    /// Translates the body of a chat completion request.
    pub(super) fn request(body: &Bytes) -> Result<Self, Failure> {
        let text = std::str::from_utf8(body).unwrap_or_default();
        let fields = Fields::parse(text).unwrap_or_default();
        let options = fields.find("stream_options").and_then(|options| Fields::parse(options.get()).ok());
        let with_usage = options.is_some_and(|options| options.is_true("include_usage"));
        let body = request::messages(body).ok_or(Failure::Unsupported)?;
        Ok(Self { body: body.into(), with_usage })
    }

    /// Names the interface's version unless the client did.
    pub(super) fn complete(headers: &mut HeaderMap) {
        headers.entry("anthropic-version").or_insert(VERSION);
    }

    /// Translates the answer; a stream is translated as it comes.
    pub(super) async fn answer(self, response: Response<Body>) -> Result<Response<Body>, Failure> {
        let (mut head, body) = response.into_parts();
        head.headers.remove(header::CONTENT_LENGTH);
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if head.status.is_success() && kind.starts_with("text/event-stream") {
            let chunks = Chunks::new(created, self.with_usage);
            return Ok(Response::from_parts(head, translated_stream(body, chunks)));
        }
        let whole = whole(body).await.map_err(Failure::Closed)?;
        let written =
            if head.status.is_success() { answer::completion(&whole, created) } else { answer::error(&whole) };
        let body = body::full(written.map_or(whole, Bytes::from));
        Ok(Response::from_parts(head, body))
    }
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

fn translated_stream(body: Body, chunks: Chunks) -> Body {
    let frames = stream::unfold((body, chunks), |(mut body, mut chunks)| async move {
        loop {
            let frame = match body.frame().await? {
                Ok(frame) => frame,
                Err(error) => return Some((Err(error), (body, chunks))),
            };
            let Ok(piece) = frame.into_data() else {
                continue;
            };
            let text = chunks.push(piece);
            if !text.is_empty() {
                return Some((Ok::<_, BodyError>(Frame::data(Bytes::from(text))), (body, chunks)));
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}
