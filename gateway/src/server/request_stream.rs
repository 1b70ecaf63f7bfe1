//! The stream of a connection as the HTTP server reads it: first the bytes that were read to detect the version, then the rest,
//! with a deadline for each request head.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head_deadline::HeadDeadline;

/// The stream.
pub(super) struct RequestStream<S> {
    /// The bytes to yield first.
    first: Bytes,
    stream: S,
    deadline: HeadDeadline,
}

impl<S> RequestStream<S> {
    /// Returns `stream` with `first` before its remaining bytes, and with `deadline` for the heads.
    pub(super) fn new(first: Bytes, stream: S, deadline: HeadDeadline) -> Self {
        Self { first, stream, deadline }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RequestStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let timed_out = || Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        if self.deadline.poll_expired(ctx).is_ready() {
            return timed_out();
        }
        if !self.first.is_empty() {
            let count = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first.split_to(count));
            self.deadline.bytes_arrived();
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(ctx, buf);
        if buf.filled().len() > before {
            self.deadline.bytes_arrived();
        } else if read.is_pending() && self.deadline.bytes_awaited(ctx).is_ready() {
            return timed_out();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RequestStream<S> {
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
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::{super::head_deadline::RequestCount, *};

    const TIMEOUT: Duration = Duration::from_millis(20);
    const NEVER: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn the_first_bytes_come_before_the_rest() {
        let (mut client, server) = tokio::io::duplex(16);
        client.write_all(b"rest").await.unwrap();
        let deadline = HeadDeadline::new(RequestCount::default(), NEVER);
        let mut stream = RequestStream::new(Bytes::from_static(b"first "), server, deadline);
        let mut read = [0; 10];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"first rest");
    }

    #[tokio::test]
    async fn half_a_head_ends_the_connection_and_an_idle_one_stays() {
        let (mut client, server) = tokio::io::duplex(64);
        let requests = RequestCount::default();
        let mut stream = RequestStream::new(Bytes::new(), server, HeadDeadline::new(requests.clone(), TIMEOUT));
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

    #[tokio::test]
    async fn more_bytes_of_a_head_do_not_extend_its_deadline() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut stream = RequestStream::new(Bytes::new(), server, HeadDeadline::new(RequestCount::default(), TIMEOUT));
        let sending = async {
            // Ends with the connection: the other side reads no more.
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(TIMEOUT / 10).await;
            }
        };
        let reading = async move {
            let mut read = [0; 1];
            let mut result = Ok(1);
            while result.is_ok() {
                result = stream.read(&mut read).await;
            }
            result.unwrap_err().kind()
        };
        assert_eq!(tokio::join!(sending, reading).1, io::ErrorKind::TimedOut);
    }
}
