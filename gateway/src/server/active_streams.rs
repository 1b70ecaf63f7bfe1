//! The active streams of one HTTP/2 connection, and how long it has been idle.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;

use super::write_deadline::WriteDeadline;

/// The executor of the streams of a connection; it counts them.
#[derive(Debug, Clone)]
pub(super) struct ActiveStreams(Arc<Mutex<Count>>);

#[derive(Debug)]
struct Count {
    open: usize,
    /// When the last stream ended, or the connection started.
    since: Instant,
}

/// An open stream, until it is dropped.
struct Stream(ActiveStreams);

impl ActiveStreams {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Count { open: 0, since: Instant::now() })))
    }

    /// Waits until no stream has been open for `timeout`.
    pub(super) async fn idle(&self, timeout: Duration) {
        loop {
            let now = Instant::now();
            let since = self.count(|count| if count.open == 0 { count.since } else { now });
            let until = since + timeout;
            if now >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn open(&self) -> Stream {
        self.count(|count| count.open += 1);
        Stream(self.clone())
    }

    fn count<T>(&self, what: impl FnOnce(&mut Count) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.count(|count| {
            count.open -= 1;
            count.since = Instant::now();
        });
    }
}

impl<F> Executor<F> for ActiveStreams
where
    F: Future<Output: Send> + Send + 'static,
{
    /// A connection, and so a drain, waits for its streams.
    fn execute(&self, stream: F) {
        let open = self.open();
        TokioExecutor::new().execute(async move {
            let is_written = WriteDeadline::default().enforce(stream).await.is_some();
            if !is_written {
                // Dropping the stream resets it and cancels the upstream call.
                tracing::debug!("a client did not read its response in time");
            }
            drop(open);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether `streams` have been idle for `timeout`, without waiting.
    async fn is_idle(streams: &ActiveStreams, timeout: Duration) -> bool {
        tokio::time::timeout(Duration::ZERO, streams.idle(timeout)).await.is_ok()
    }

    #[tokio::test]
    async fn a_connection_is_idle_only_while_no_stream_is_open() {
        let streams = ActiveStreams::new();
        let (first, second) = (streams.open(), streams.open());
        drop(first);
        assert!(!is_idle(&streams, Duration::from_nanos(1)).await);
        drop(second);
        streams.idle(Duration::from_millis(1)).await;
        assert!(!is_idle(&streams, Duration::from_secs(600)).await);
    }

    #[tokio::test]
    async fn a_stream_is_counted_from_its_start_to_its_end() {
        let streams = ActiveStreams::new();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        streams.execute(ended);
        assert_eq!(streams.count(|count| count.open), 1);
        drop(end);
        streams.idle(Duration::from_millis(1)).await;
        assert_eq!(streams.count(|count| count.open), 0);
    }
}
