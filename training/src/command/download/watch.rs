//! Ends a transfer that stands still: the hub's client itself waits without a limit.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

/// What a transfer reports.
enum Event<T> {
    Bytes(u64),
    Done(Result<T>),
}

/// Tells how many bytes have arrived.
pub(super) type Arrived<'a> = &'a mut dyn FnMut(u64);

/// Runs `work` on a thread of its own, and fails when it neither ends nor reports bytes within `timeout`.
///
/// The thread of a transfer that stands still is left behind: nothing can interrupt it, and the program ends.
pub(super) fn watch<T: Send + 'static>(
    timeout: Duration,
    mut report: impl FnMut(u64),
    work: impl FnOnce(Arrived<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (events, received) = mpsc::channel();
    thread::spawn(move || run(work, &events));
    loop {
        match received.recv_timeout(timeout) {
            Ok(Event::Bytes(count)) => report(count),
            Ok(Event::Done(result)) => return result,
            Err(RecvTimeoutError::Timeout) => {
                bail!("no byte from the hub for {} s: run the command again to go on", timeout.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("the transfer ended without a result"),
        }
    }
}

fn run<T>(work: impl FnOnce(Arrived<'_>) -> Result<T>, events: &Sender<Event<T>>) {
    // Nobody listens after a timeout.
    let mut arrived = |count| drop(events.send(Event::Bytes(count)));
    let result = work(&mut arrived);
    let _ = events.send(Event::Done(result));
}
