//! The adapter: one thread that reads users' signals, runs the plugin on them, and fills the cache. Only it writes there, so
//! that an old profile never replaces a newer one.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::Instant,
};

use crossbeam_channel::{Receiver, Sender};
use personaroute_host::RouteError;
use tokio::sync::oneshot;

use super::{
    adaptation,
    cache::{Known, ProfileCache},
    error::StoreError,
    store::Reader,
};
use crate::{config::Learning, routing::Scorer, telemetry::Metrics};

/// Most users that wait for their profiles.
const WAITING: usize = 4_096;

/// The router whose embedding space a profile is for.
#[derive(Clone)]
pub struct Target {
    /// The router.
    pub scorer: Arc<dyn Scorer>,
    /// The version of its bundle.
    pub bundle: Arc<str>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("bundle", &self.bundle).finish_non_exhaustive()
    }
}

/// A user whose profile is needed.
pub(super) struct Refresh {
    user: Arc<str>,
    target: Target,
    /// A look into the store after this time is recent enough.
    since: Instant,
    reply: oneshot::Sender<Option<Arc<Known>>>,
}

/// Hands users to the adapter. Dropping it ends the thread, which closes its part of the store.
#[derive(Debug)]
pub(super) struct AdapterHandle {
    sender: Option<Sender<Refresh>>,
    thread: Option<JoinHandle<()>>,
}

impl AdapterHandle {
    /// Asks for the profile of `user` from signals that are committed now; none if too many users wait.
    pub(super) fn refresh(&self, user: &str, target: &Target) -> Option<oneshot::Receiver<Option<Arc<Known>>>> {
        let (reply, receiver) = oneshot::channel();
        let refresh = Refresh { user: Arc::from(user), target: target.clone(), since: Instant::now(), reply };
        self.sender.as_ref()?.try_send(refresh).ok()?;
        Some(receiver)
    }
}

impl Drop for AdapterHandle {
    fn drop(&mut self) {
        drop(self.sender.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that adapts profiles panicked");
        }
    }
}

/// What the thread works with.
pub(super) struct Adapter {
    pub(super) reader: Box<dyn Reader>,
    pub(super) cache: Arc<ProfileCache>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) config: Learning,
}

impl Adapter {
    /// Starts the thread, which ends when every handle is dropped.
    pub(super) fn start(self) -> Result<AdapterHandle, StoreError> {
        let (sender, receiver) = crossbeam_channel::bounded(WAITING);
        let thread = std::thread::Builder::new().name("learn-adapt".to_owned());
        let thread = thread.spawn(move || self.run(&receiver)).map_err(StoreError::Thread)?;
        Ok(AdapterHandle { sender: Some(sender), thread: Some(thread) })
    }

    fn run(mut self, waiting: &Receiver<Refresh>) {
        let mut is_failing = false;
        for refresh in waiting {
            let known = self.cache.any(&refresh.user, &refresh.target.bundle);
            if let Some(known) = known.filter(|known| known.read >= refresh.since) {
                // The requester may have stopped waiting.
                let _gone = refresh.reply.send(Some(known));
                continue;
            }
            let made = self.make(&refresh);
            if made.is_ok() == is_failing {
                is_failing = made.is_err();
                match &made {
                    Ok(_) => tracing::info!("the store of signals is read again"),
                    Err(error) => tracing::error!(error = %Causes(error), "the store of signals cannot be read"),
                }
            }
            let _gone = refresh.reply.send(made.ok());
        }
    }

    /// Makes the profile of a user and puts it into the cache.
    fn make(&mut self, refresh: &Refresh) -> Result<Arc<Known>, StoreError> {
        let read = Instant::now();
        let data = self.reader.signals(&refresh.user)?;
        let Target { scorer, bundle } = &refresh.target;
        let adapted =
            catch_unwind(AssertUnwindSafe(|| adaptation::adapt(&**scorer, &refresh.user, &data, &self.config, bundle)));
        let adapted = adapted.unwrap_or_else(|_| Err(RouteError::Plugin("the plugin panicked".to_owned())));
        if !data.signals.is_empty() {
            self.metrics.learning().adapted(read.elapsed(), adapted.is_ok());
        }
        let adapted = adapted.unwrap_or_else(|error| {
            tracing::warn!(reason = error.label(), "a user's signals could not be used, the trained profile is");
            adaptation::Adapted::default()
        });
        let known = Arc::new(Known {
            profile: adapted.profile,
            preference: adapted.preference,
            learned: adapted.learned,
            bundle: Arc::clone(bundle),
            read,
        });
        self.cache.insert(Arc::clone(&refresh.user), Arc::clone(&known));
        Ok(known)
    }
}

/// An error with its causes, for the log.
pub(super) struct Causes<'a>(pub(super) &'a StoreError);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = std::error::Error::source(self.0);
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
