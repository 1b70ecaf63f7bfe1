//! The threads that serve sockets: a runtime each, so that a connection and the calls it leads to stay on one core.
//!
//! A runtime that moves tasks between threads wakes a second thread for most of them: 0.65 `futex` calls for each request
//! that is passed through. Connections are many and alike, so they are spread when they come instead.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// A timer that ends before all others wakes its thread by a system call. Requests set and drop timers of many seconds all
/// the time, so one that always ends sooner saves that call and the wait that it breaks, once a request.
const TICK: Duration = Duration::from_millis(500);

/// The threads. Dropping them ends what still runs there.
#[derive(Debug, Default)]
pub struct Workers {
    workers: Vec<Worker>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    handle: Handle,
    connections: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// Counts a connection of a worker until it is dropped.
#[derive(Debug)]
pub(super) struct WorkerSlot(Arc<AtomicUsize>);

impl Drop for WorkerSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    ///
    /// Fails when the system gives no thread.
    pub fn start(count: usize) -> io::Result<Self> {
        let mut started = Self::default();
        for idx in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (handle, stop) = (runtime.handle().clone(), started.stop.clone());
            let work = move || runtime.block_on(tick(stop));
            let thread = std::thread::Builder::new().name(format!("serve-{idx}")).spawn(work)?;
            started.workers.push(Worker { handle, connections: Arc::default(), thread: Some(thread) });
        }
        Ok(started)
    }

    /// Returns where the next connection is served, the worker with the fewest; none without workers.
    pub(super) fn next(&self) -> Option<(&Handle, WorkerSlot)> {
        let worker = self.workers.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed))?;
        worker.connections.fetch_add(1, Ordering::Relaxed);
        Some((&worker.handle, WorkerSlot(Arc::clone(&worker.connections))))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        // A worker may be the one that lets go of the gateway last, and cannot wait for itself.
        let own = std::thread::current().id();
        let threads = self.workers.iter_mut().filter_map(|worker| worker.thread.take());
        for thread in threads.filter(|thread| thread.thread().id() != own) {
            if thread.join().is_err() {
                tracing::error!("a thread that served sockets panicked");
            }
        }
    }
}

/// Keeps a runtime running until `stop`.
async fn tick(stop: CancellationToken) {
    while tokio::time::timeout(TICK, stop.cancelled()).await.is_err() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_and_their_places_come_back() {
        let workers = Workers::start(2).unwrap();
        let (first, held) = workers.next().unwrap();
        let (second, other) = workers.next().unwrap();
        assert_ne!(first.id(), second.id());
        drop(held);
        assert_eq!(workers.next().unwrap().0.id(), first.id());
        drop(other);
        assert!(Workers::default().next().is_none());
    }

    #[test]
    fn a_worker_runs_what_it_is_given() {
        let workers = Workers::start(1).unwrap();
        let (handle, _slot) = workers.next().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        handle.spawn(async move { tell.send(std::thread::current().name().map(str::to_owned)) });
        assert_eq!(told.recv_timeout(std::time::Duration::from_secs(60)).unwrap().as_deref(), Some("serve-0"));
    }
}
