//! A plain HTTP/1.1 client for tests: one request on one connection, the response whole or chunk by chunk.
//!
//! A response, and each chunk, is waited for no longer than the limit of a wait.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::wait;

/// A complete response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Returns the body as JSON, or null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns a header's value, or an empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A response whose body is still being received; dropping it closes the connection, like a client that disconnects.
pub struct Open {
    pub response: Response<Incoming>,
    _connection: JoinSet<()>,
}

impl Open {
    /// Returns the next chunk of the body, or `None` at its end.
    ///
    /// # Errors
    ///
    /// Fails when the connection breaks before the body's end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = within_limit("a chunk", self.response.body_mut().frame()).await? {
            if let Ok(data) = frame.context("the body was truncated")?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Reads until `text` is in what was read.
    ///
    /// # Errors
    ///
    /// Fails when the body ends, or the connection breaks, before.
    pub async fn read_until(&mut self, text: &str) -> Result<String> {
        let mut read = String::new();
        while !read.contains(text) {
            let chunk = self.next().await?.with_context(|| format!("the body ended without {text:?}: {read}"))?;
            read.push_str(&String::from_utf8_lossy(&chunk));
        }
        Ok(read)
    }

    /// Reads the rest.
    ///
    /// # Errors
    ///
    /// Fails when the connection breaks before the body's end.
    pub async fn finish(mut self) -> Result<Answer> {
        let mut body = Vec::new();
        while let Some(piece) = self.next().await? {
            body.extend_from_slice(&piece);
        }
        let (head, _) = self.response.into_parts();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.into() })
    }
}

/// Sends a request and waits for the response's head.
///
/// # Errors
///
/// Fails when nothing listens or the connection breaks.
pub async fn open(address: SocketAddr, request: Request<Bytes>) -> Result<Open> {
    let stream = tokio::net::TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
    over(stream, request).await
}

/// Sends a request over a connection of any kind and waits for the response's head.
///
/// # Errors
///
/// Fails when the connection breaks.
pub async fn over<S>(stream: S, request: Request<Bytes>) -> Result<Open>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context("the handshake")?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // A broken connection is an error of the response.
        let _ = connection.await;
    });
    let sending = sender.send_request(request.map(Full::new));
    let response = within_limit("a response", sending).await?.context("sending the request")?;
    Ok(Open { response, _connection: tasks })
}

/// Waits for `future`, at most [`wait::LIMIT`].
async fn within_limit<F: Future>(what: &str, future: F) -> Result<F::Output> {
    tokio::time::timeout(wait::LIMIT, future).await.with_context(|| format!("waited {:?} for {what}", wait::LIMIT))
}

/// Gets a path.
///
/// # Errors
///
/// Fails when nothing listens or the connection breaks.
pub async fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    let request = Request::get(path).header("host", address.to_string()).body(Bytes::new())?;
    open(address, request).await?.finish().await
}

/// Posts JSON with extra headers.
///
/// # Errors
///
/// Fails when nothing listens or the connection breaks.
pub async fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Answer> {
    open(address, json_request(address, path, headers, body)?).await?.finish().await
}

/// Sends a request with any method, with JSON unless `body` is null.
///
/// # Errors
///
/// Fails when nothing listens or the connection breaks.
pub async fn send(
    address: SocketAddr,
    method: http::Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Result<Answer> {
    let mut request = json_request(address, path, headers, body)?;
    *request.method_mut() = method;
    if body.is_null() {
        *request.body_mut() = Bytes::new();
    }
    open(address, request).await?.finish().await
}

/// Builds a POST of JSON with extra headers.
///
/// # Errors
///
/// Fails when a header or the path is invalid.
pub fn json_request(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Request<Bytes>> {
    let mut request =
        Request::post(path).header("host", address.to_string()).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.body(Bytes::from(body.to_string()))?)
}
