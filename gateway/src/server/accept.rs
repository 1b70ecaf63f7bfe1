//! One listener: as many connections as permitted, the rest wait in the kernel's queue.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

/// Pause after an accept that failed for want of descriptors or memory, so that the loop does not spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Hands each connection and its permit to `serve` until `stop`.
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
            // Whichever thread serves it has a reactor of its own.
            (Ok((stream, peer)), Ok(permit)) => match stream.into_std() {
                Ok(stream) => serve(stream, peer, permit),
                Err(error) => tracing::warn!(%error, "a connection could not be handed on"),
            },
            (Err(error), _) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
            // The semaphore is never closed.
            (_, Err(_)) => return,
        }
    }
}
