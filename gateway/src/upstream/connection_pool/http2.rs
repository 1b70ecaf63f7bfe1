//! An HTTP/2 connection, which carries many requests at a time and is driven by a task of its own.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    client::conn::http2::{self, SendRequest},
    rt::Executor,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::runtime::Id;

use super::SendError;
use crate::upstream::{Body, body::BodyError, connector::Opened};

/// How often an upstream that is silent during a call is asked whether it is there, and how long it may take to reply.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// One connection. It closes when nobody holds it and its calls have ended.
#[derive(Debug, Clone)]
pub(super) struct Http2 {
    pub(super) runtime: Id,
    sender: SendRequest<Full<Bytes>>,
    /// When a call started last.
    pub(super) used: Instant,
}

impl Http2 {
    /// Returns the connection over a stream that was opened on `runtime`, which is the current one.
    pub(super) async fn open(opened: Opened, runtime: Id) -> Result<Self, BodyError> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT);
        let (sender, connection) = builder.handshake(TokioIo::new(opened.stream)).await?;
        TokioExecutor::new().execute(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to an upstream failed");
            }
        });
        Ok(Self { runtime, sender, used: Instant::now() })
    }

    /// Returns whether the connection is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Returns whether no call has started for longer than `timeout`.
    pub(super) fn is_expired(&self, now: Instant, timeout: Duration) -> bool {
        now.saturating_duration_since(self.used) > timeout
    }

    /// Sends `request` and waits for the head of the response. Dropping the response resets its stream alone.
    pub(super) async fn send(mut self, request: Request<Full<Bytes>>) -> Result<Response<Body>, SendError> {
        if let Err(error) = self.sender.ready().await {
            return Err(SendError { error: error.into(), unsent: Some(Box::new(request)) });
        }
        match self.sender.try_send_request(request).await {
            Ok(response) => Ok(response.map(|incoming| Body::new(incoming.map_err(Into::into)))),
            Err(mut error) => {
                let unsent = error.take_message().map(Box::new);
                Err(SendError { error: error.into_error().into(), unsent })
            }
        }
    }
}
