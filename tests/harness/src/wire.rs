//! A plain HTTP/1.1 client for tests: one request on one connection, the reply whole or frame by frame.

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

/// A reply read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Returns the body as JSON, or null when it is none.
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

/// A reply whose body is still coming; dropping it closes the connection, as a client does that leaves.
pub struct Open {
    pub response: Response<Incoming>,
    _connection: JoinSet<()>,
}

impl Open {
    /// Returns the next piece of the body, or `None` at its end.
    ///
    /// # Errors
    ///
    /// Fails when the connection breaks before the body's end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.response.body_mut().frame().await {
            if let Ok(data) = frame.context("the body broke off")?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
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

/// Sends a request and returns when the reply's head is there.
///
/// # Errors
///
/// Fails when nothing listens or the connection breaks.
pub async fn open(address: SocketAddr, request: Request<Bytes>) -> Result<Open> {
    let stream = tokio::net::TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
    over(stream, request).await
}

/// Sends a request over a connection of any kind and returns when the reply's head is there.
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
        // A broken connection shows up in the reply.
        let _ = connection.await;
    });
    let response = sender.send_request(request.map(Full::new)).await.context("sending the request")?;
    Ok(Open { response, _connection: tasks })
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
/// Fails when a header or the path is none.
pub fn json_request(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Request<Bytes>> {
    let mut request =
        Request::post(path).header("host", address.to_string()).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.body(Bytes::from(body.to_string()))?)
}
