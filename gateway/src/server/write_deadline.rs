//! Cancels the serving of a response whose client does not read it in time.
//!
//! The connection's own write timeout misses two cases. An HTTP/2 client that opens no window causes no write, and hyper
//! does not poll the body. An HTTP/1 client that reads slowly keeps the writes going. So the deadline is checked outside the
//! body: [`WriteDeadlineBody`](super::write_deadline_body::WriteDeadlineBody) sets it, and [`WriteDeadline::enforce`] drops
//! the serving future when it passes.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use tokio::time::{Instant, Sleep};

tokio::task_local! {
    /// The deadline of the response that the current task serves.
    static CURRENT: WriteDeadline;
}

/// The time by which the chunk that is being written must be read by the client; none while no chunk is being written.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteDeadline(Arc<Mutex<Option<Instant>>>);

impl WriteDeadline {
    /// Returns the deadline that the current task enforces, or one that nothing enforces.
    pub(super) fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs `serving`, and returns none if it is dropped because the deadline passed.
    ///
    /// The timer is created by the first chunk that is not read at once, and reset only after it fires.
    pub(super) async fn enforce<F: Future>(&self, serving: F) -> Option<F::Output> {
        let mut serving = pin!(serving);
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        let enforced = poll_fn(|ctx| {
            if let Poll::Ready(served) = serving.as_mut().poll(ctx) {
                return Poll::Ready(Some(served));
            }
            while let Some(due) = self.get() {
                let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
                if timer.as_mut().poll(ctx).is_pending() {
                    return Poll::Pending;
                }
                if Instant::now() >= due {
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(due);
            }
            Poll::Pending
        });
        CURRENT.scope(self.clone(), enforced).await
    }

    /// Returns the deadline.
    pub(super) fn get(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the deadline; none while nothing is being written.
    pub(super) fn set(&self, due: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = due;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(600);

    /// Lets what polls this future do the rest of its turn.
    async fn pending_once() {
        let mut was_polled = false;
        poll_fn(|ctx| {
            ctx.waker().wake_by_ref();
            if std::mem::replace(&mut was_polled, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[tokio::test]
    async fn a_deadline_that_passes_cancels_the_serving() {
        let deadline = WriteDeadline::default();
        let stalled = async {
            WriteDeadline::current().set(Some(Instant::now() + SHORT));
            std::future::pending::<()>().await;
        };
        assert_eq!(deadline.enforce(stalled).await, None);
    }

    #[tokio::test]
    async fn a_deadline_that_is_cleared_or_moved_in_time_cancels_nothing() {
        let deadline = WriteDeadline::default();
        let serving = async {
            let current = WriteDeadline::current();
            for replacement in [Some(Instant::now() + LONG), None] {
                let first = Instant::now() + 5 * SHORT;
                current.set(Some(first));
                // The timer is started for the first deadline, and fires after it was replaced.
                pending_once().await;
                current.set(replacement);
                tokio::time::sleep_until(first).await;
                pending_once().await;
            }
            "served"
        };
        assert_eq!(deadline.enforce(serving).await, Some("served"));
    }
}
