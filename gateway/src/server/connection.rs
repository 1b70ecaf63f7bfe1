//! One connection: HTTP/1.1 or HTTP/2 by its first bytes, with the limits of a slow or greedy client.

use std::{convert::Infallible, future::Future, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::stalled::Stalled;
use crate::{
    config::{Limits, Timeouts},
    upstream::Body,
};

/// Most streams of one HTTP/2 connection, nginx's default; the gateway's own limit counts all connections.
const STREAMS: u32 = 128;

/// How connections are served.
#[derive(Debug, Clone)]
pub struct Connections {
    builder: Arc<auto::Builder<TokioExecutor>>,
    client_read: Duration,
}

impl Connections {
    /// Returns connections with these limits.
    pub fn new(limits: &Limits, timeouts: &Timeouts) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(timeouts.client_head)
            .max_buf_size(limits.head)
            .max_headers(limits.headers);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
            .keep_alive_interval(Some(timeouts.client_head));
        Self { builder: Arc::new(builder), client_read: timeouts.client_read }
    }

    /// Serves `stream` with `answer`. After `stop`, the request in flight is finished and the connection closed; after
    /// `cut` it is closed at once.
    pub async fn serve<S, F>(
        &self,
        stream: S,
        answer: impl Fn(Request<Incoming>) -> F,
        stop: CancellationToken,
        cut: CancellationToken,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let service = service_fn(|request| {
            let answered = answer(request);
            async move { Ok::<_, Infallible>(answered.await) }
        });
        let stream = Stalled::new(stream, self.client_read);
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    served = connection.as_mut() => served,
                    () = cut.cancelled() => Ok(()),
                }
            }
        };
        if let Err(error) = served {
            tracing::debug!(error = %error, "a connection ended early");
        }
    }
}
