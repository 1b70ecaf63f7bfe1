//! Serves the connections of a listener: worker thread, TLS handshake, requests.

use std::{net::SocketAddr, sync::Arc};

use http::{Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{App, listeners::ListenerKind, shutdown::ShutdownSignals};
use crate::{
    admin,
    server::{self, ReturnedBody, tls},
    upstream::Body,
};

/// Most open connections of the admin listener. Operators and scrapers are few, and clients must not keep them waiting.
const ADMIN_CONNECTIONS: usize = 64;

impl App {
    /// Accepts connections until the signals stop it, and serves each in a task of its own.
    pub(super) async fn listen(self: Arc<Self>, listener: TcpListener, kind: ListenerKind, signals: ShutdownSignals) {
        let permits = match kind {
            ListenerKind::Main => Arc::clone(&self.permits),
            ListenerKind::Admin => Arc::new(Semaphore::new(ADMIN_CONNECTIONS)),
        };
        let serve = |stream: std::net::TcpStream, _peer: SocketAddr, permit: OwnedSemaphorePermit| {
            let connection = Arc::clone(&self).connection(stream, kind, permit, signals.child());
            match self.workers.next().filter(|_| kind == ListenerKind::Main) {
                Some((worker, slot)) => {
                    let connection = async move {
                        connection.await;
                        drop(slot);
                    };
                    signals.tasks.spawn_on(connection, worker);
                }
                None => {
                    signals.tasks.spawn(connection);
                }
            }
        };
        server::accept(listener, permits, signals.stop.clone(), serve).await;
    }

    async fn connection(
        self: Arc<Self>,
        stream: std::net::TcpStream,
        kind: ListenerKind,
        _permit: OwnedSemaphorePermit,
        signals: ShutdownSignals,
    ) {
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be served");
                return;
            }
        };
        // An event of a stream is sent at once, and does not wait for a full packet.
        let _best_effort = stream.set_nodelay(true);
        let settings = match kind {
            ListenerKind::Main => self.proxy.snapshot().tls.clone(),
            ListenerKind::Admin => None,
        };
        let Some(settings) = settings else {
            let answer = |request| Arc::clone(&self).answer(kind, request);
            return self.connections.serve(stream, answer, signals.stop, signals.cut).await;
        };
        let handshake = tls::handshake(stream, settings, self.handshake);
        let connected = tokio::select! {
            connected = handshake => connected,
            () = signals.cut.cancelled() => return,
        };
        match connected {
            Ok((stream, certificate)) => {
                let answer = |mut request: Request<ReturnedBody>| {
                    certificate.map(|fingerprint| request.extensions_mut().insert(fingerprint));
                    Arc::clone(&self).answer(kind, request)
                };
                self.connections.serve(stream, answer, signals.stop, signals.cut).await;
            }
            Err(error) => {
                self.metrics.handshake_failed(error.as_str());
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::debug!(%error, cause, "a TLS handshake failed");
            }
        }
    }

    async fn answer(self: Arc<Self>, kind: ListenerKind, request: Request<ReturnedBody>) -> Response<Body> {
        match kind {
            ListenerKind::Main => self.proxy.handle(request).await,
            ListenerKind::Admin => {
                let access = admin::Access::of(&self.proxy.snapshot().config);
                if admin::is_operation(request.uri().path()) {
                    return match admin::refusal(&request, &access) {
                        Some(refused) => refused,
                        None => Box::pin(self.proxy.operate(request)).await,
                    };
                }
                admin::answer(&request, &access, &self.health, &self.metrics)
            }
        }
    }
}
