//! The accept loop of one listener. Connections over the limit wait in the kernel's backlog.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

/// Pause after a failed accept, for example without free file descriptors, so that the loop does not spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Accepts connections until `stop`, and passes each one with its permit to `serve`.
pub async fn accept(
    listener: TcpListener,
    permits: Arc<Semaphore>,
    stop: CancellationToken,
    serve: impl Fn(std::net::TcpStream, SocketAddr, OwnedSemaphorePermit),
) {
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            () = stop.cancelled() => return,
            next = next => next,
        };
        match (accepted, permit) {
            // The connection is registered again with the reactor of the thread that serves it.
            (Ok((stream, peer)), Ok(permit)) => match stream.into_std() {
                Ok(stream) => serve(stream, peer, permit),
                Err(error) => tracing::warn!(%error, "cannot pass a connection to its worker"),
            },
            (Err(error), _) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
            // The semaphore is never closed.
            (_, Err(_)) => return,
        }
    }
}
