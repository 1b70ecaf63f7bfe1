//! Closes a connection whose client takes too long to send the head of a request.
//!
//! The time runs from the first byte of the head: a connection that is idle between two requests has a timeout of its own.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// Counts the starts and ends of the requests on a connection: it is odd while a request is served.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestCount(Arc<AtomicU64>);

impl RequestCount {
    /// Notes that a request's head is complete. The request ends when the guard is dropped.
    pub(super) fn start(&self) -> RequestGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        RequestGuard(self.clone())
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request that is served.
#[derive(Debug)]
pub(super) struct RequestGuard(RequestCount);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A stream with a timeout for request heads.
pub(super) struct HeadDeadline<S> {
    stream: S,
    requests: RequestCount,
    timeout: Duration,
    /// The timer of the head that is being read, with the count at its first byte.
    timer: Option<(u64, Pin<Box<Sleep>>)>,
}

impl<S> HeadDeadline<S> {
    /// Returns `stream`, on which a head may take `timeout`; `requests` are those of the connection.
    pub(super) fn new(stream: S, requests: RequestCount, timeout: Duration) -> Self {
        Self { stream, requests, timeout, timer: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadDeadline<S> {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let count = self.requests.get();
        self.timer.take_if(|(started, _)| *started != count);
        if let Some((_, timer)) = &mut self.timer
            && timer.as_mut().poll(ctx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(ctx, buf))?;
        let is_head = count.is_multiple_of(2) && buf.filled().len() > before;
        if is_head && self.timer.is_none() {
            self.timer = Some((count, Box::pin(tokio::time::sleep(self.timeout))));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadDeadline<S> {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(ctx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(ctx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(ctx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn half_a_head_ends_the_connection_and_an_idle_one_stays() {
        let (mut client, server) = tokio::io::duplex(64);
        let requests = RequestCount::default();
        let mut stream = HeadDeadline::new(server, requests.clone(), TIMEOUT);
        let mut read = [0; 4];
        let idle = tokio::time::timeout(3 * TIMEOUT, stream.read(&mut read)).await;
        assert!(idle.is_err(), "an idle connection stays open");
        client.write_all(b"GET ").await.unwrap();
        stream.read_exact(&mut read).await.unwrap();
        let guard = requests.start();
        let slow = tokio::time::timeout(3 * TIMEOUT, stream.read(&mut read)).await;
        assert!(slow.is_err(), "a request that is served has no head deadline");
        drop(guard);
        client.write_all(b"GET ").await.unwrap();
        stream.read_exact(&mut read).await.unwrap();
        let error = stream.read(&mut read).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
