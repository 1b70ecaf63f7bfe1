//! A connection whose client must take what it is sent: one that stops reading is cut, with the upstream call behind it.
//!
//! What was read of it before comes first.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// A stream whose writes fail once nothing could be written for `timeout`.
pub(super) struct TimeoutStream<S> {
    stream: S,
    /// Read already, and not yet handed on.
    first: Bytes,
    timeout: Duration,
    /// Runs while a write waits for the client.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> TimeoutStream<S> {
    pub(super) fn new(stream: S, first: Bytes, timeout: Duration) -> Self {
        Self { stream, first, timeout, timer: None }
    }

    /// Passes `written` on; while it is pending, the clock runs.
    fn watch<T>(&mut self, ctx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.timer = None;
            return written;
        }
        let until = Instant::now() + self.timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        ready!(timer.as_mut().poll(ctx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client stopped reading")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimeoutStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let count = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first.split_to(count));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(ctx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimeoutStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(ctx, bytes);
        self.watch(ctx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(ctx, pieces);
        self.watch(ctx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(ctx);
        self.watch(ctx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(ctx);
        self.watch(ctx, closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_client_that_stops_reading_is_cut_and_one_that_reads_is_not() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut stream = TimeoutStream::new(server, Bytes::new(), Duration::from_millis(20));
        stream.write_all(&[1; 16]).await.unwrap();
        let cut = stream.write_all(&[2; 16]).await.unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::TimedOut);
        let mut read = [0; 16];
        client.read_exact(&mut read).await.unwrap();
        stream.write_all(&[3; 16]).await.unwrap();
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(read, [3; 16]);
    }

    #[tokio::test]
    async fn what_was_read_before_comes_first() {
        let (mut client, server) = tokio::io::duplex(16);
        client.write_all(b"rest").await.unwrap();
        let mut stream = TimeoutStream::new(server, Bytes::from_static(b"first "), Duration::from_secs(60));
        let mut read = [0; 10];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"first rest");
    }
}
