//! The learning as the proxy uses it: record decisions, accept feedback, look up and erase users.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

pub use super::adapter::Target;
use super::{
    adapter::{Adapter, AdapterHandle},
    cache::{Known, ProfileCache},
    clock,
    error::{LearningError, Refusal, StoreError},
    queue::{Callback, Operation, Queue, RoutedDecision},
    rate::SignalRate,
    record::{Declared, Interaction, Origin, Page, Signal, TaskGuess, UserData},
    resolve,
    store::{Durability, Put, RawStore, Removed, open_raw},
    writer::Writer,
};
use crate::{
    api::feedback::{About, Feedback},
    config::Learning as Config,
    telemetry::Metrics,
};

/// Most time that an acknowledgement waits for the new profile.
const ACKNOWLEDGE: Duration = Duration::from_millis(50);

/// Most time that an operation waits for the store: an erasure copies the whole file.
const STORE: Duration = Duration::from_secs(60);

/// Learns from users while serving. Dropping it writes what waits and closes the store.
#[derive(Debug)]
pub struct Learning {
    config: Config,
    queue: Arc<Queue>,
    cache: Arc<ProfileCache>,
    adapter: AdapterHandle,
    rate: Arc<SignalRate>,
    metrics: Arc<Metrics>,
    is_durable: bool,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What became of a feedback.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The user.
    pub user: String,
    /// The decision's id, or the id of an answer without one.
    pub decision: String,
    /// Whether it was there already.
    pub is_duplicate: bool,
    /// The user's signals.
    pub signals: usize,
    /// The LLM that is ranked next, if the caller wants another answer.
    pub next_best: Option<String>,
    /// What is known of the user now; none if the profile was not ready in time.
    pub known: Option<Arc<Known>>,
}

/// What the store says about a feedback.
struct Stored {
    user: String,
    decision: String,
    put: Put,
    next_best: Option<String>,
}

impl Learning {
    /// Opens the store that `config` names, and starts the threads.
    ///
    /// # Errors
    ///
    /// Fails when the store cannot be used or the system gives no thread.
    pub fn open(config: &Config, metrics: &Arc<Metrics>) -> Result<Self, StoreError> {
        let store = open_raw(config)?;
        let cache = Arc::new(ProfileCache::new(config.max_profiles, store.is_shared()));
        let queue = Arc::new(Queue::new(config.queue));
        let adapter = Adapter {
            reader: store.reader()?,
            cache: Arc::clone(&cache),
            metrics: Arc::clone(metrics),
            config: config.clone(),
        };
        let is_durable = store.is_durable();
        let writer =
            Writer { store, queue: Arc::clone(&queue), cache: Arc::clone(&cache), metrics: Arc::clone(metrics) };
        let thread = std::thread::Builder::new().name("learn-write".to_owned());
        let thread = thread.spawn(move || writer.run()).map_err(StoreError::Thread)?;
        Ok(Self {
            adapter: adapter.start()?,
            config: config.clone(),
            queue,
            cache,
            rate: Arc::new(SignalRate::new(config.signals_per_minute)),
            metrics: Arc::clone(metrics),
            is_durable,
            writer: Mutex::new(Some(thread)),
        })
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns whether signals survive the process.
    pub fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Keeps a decision. Never waits: it is dropped, and counted, if too many wait.
    pub fn record(&self, decision: RoutedDecision) {
        if !self.queue.push_decision(decision) {
            self.metrics.learning().lost(1);
        }
    }

    /// Returns what is known of `user`, for a request. A user who is not in memory is looked up, for a short time.
    ///
    /// # Errors
    ///
    /// Fails with the reason if what is known may be missing or old; the second value is what there is.
    pub async fn known(&self, user: &str, target: &Target) -> (Option<Arc<Known>>, Option<&'static str>) {
        let cached = self.cache.any(user, &target.bundle);
        if let Some(known) = cached.as_ref().filter(|known| self.cache.is_fresh(known, Instant::now())) {
            return (Some(Arc::clone(known)), None);
        }
        let Some(receiver) = self.adapter.refresh(user, target) else {
            return self.missing(cached, "overloaded");
        };
        match tokio::time::timeout(self.config.timeout, receiver).await {
            Ok(Ok(Some(known))) => (Some(known), None),
            Ok(Ok(None) | Err(_)) => self.missing(cached, "store_unavailable"),
            Err(_) => self.missing(cached, "timeout"),
        }
    }

    /// Keeps a feedback, and returns when it is durable and, if that is quick, when it has shaped the user's profile.
    /// `owner` is the only user whose decisions it may be about, and the user of answers that name none.
    ///
    /// # Errors
    ///
    /// Fails if the feedback is refused or the store is away.
    pub async fn submit(&self, feedback: Feedback, owner: Owner, target: &Target) -> Result<Accepted, LearningError> {
        let kind = feedback.said.kind().as_str();
        let rate = Arc::clone(&self.rate);
        let features = match &feedback.about {
            About::Answer { text: Some(text), .. } => target.scorer.query_features(text),
            About::Answer { text: None, .. } | About::Decision(_) => None,
        };
        let bundle = target.bundle.to_string();
        let stored = self.call(Durability::Durable, move |store| {
            store_feedback(store, feedback, &owner, &rate, Origin { features, bundle, ..Origin::default() })
        });
        let stored = match stored.await {
            Ok(Ok(stored)) => stored,
            Ok(Err(refusal)) => {
                self.metrics.learning().signal(kind, "refused");
                return Err(refusal.into());
            }
            Err(error) => {
                self.metrics.learning().signal(kind, "unavailable");
                return Err(error);
            }
        };
        let Stored { user, decision, put, next_best } = stored;
        self.metrics.learning().signal(kind, if put.is_duplicate { "duplicate" } else { "accepted" });
        let known = self.refreshed(&user, target).await;
        Ok(Accepted { user, decision, is_duplicate: put.is_duplicate, signals: put.signals, next_best, known })
    }

    /// Takes back the signals for a decision; returns its user and how many there were.
    ///
    /// # Errors
    ///
    /// Fails if there is no such decision of `owner`, or the store is away.
    pub async fn withdraw(
        &self,
        decision: String,
        owner: Owner,
        target: &Target,
    ) -> Result<(String, usize), LearningError> {
        let withdrawn = self.call(Durability::Durable, move |store| {
            let user = match store.decision(&decision)? {
                Some(decision) => Some(decision.user),
                // An answer that was no decision of the gateway has signals only, which lie with their user.
                None => owner.named.clone().filter(|_| resolve::is_own_id(&decision)),
            };
            let Some(user) = user.filter(|user| owner.may_be(user)) else { return Ok(None) };
            let removed = store.remove_signals(&user, &decision)?;
            Ok(Some((user, removed.signals)))
        });
        let withdrawn = withdrawn.await?.ok_or(Refusal::UnknownDecision)?;
        self.refreshed(&withdrawn.0, target).await;
        Ok(withdrawn)
    }

    /// Returns everything that is kept about `user`.
    ///
    /// # Errors
    ///
    /// Fails if the store is away.
    pub async fn user(&self, user: &str) -> Result<UserData, LearningError> {
        let user = user.to_owned();
        self.call(Durability::Deferred, move |store| store.user(&user)).await
    }

    /// Returns a page of users.
    ///
    /// # Errors
    ///
    /// Fails if the store is away.
    pub async fn users(&self, after: Option<String>, most: usize) -> Result<Page<String>, LearningError> {
        self.call(Durability::Deferred, move |store| store.users(after.as_deref(), most)).await
    }

    /// Returns a page of interactions.
    ///
    /// # Errors
    ///
    /// Fails if the store is away.
    pub async fn interactions(
        &self,
        since: u64,
        after: Option<String>,
        most: usize,
    ) -> Result<Page<Interaction>, LearningError> {
        self.call(Durability::Deferred, move |store| store.interactions(since, after.as_deref(), most)).await
    }

    /// Replaces the preference that `user` has declared; returns what is known then.
    ///
    /// # Errors
    ///
    /// Fails if the store is away.
    pub async fn declare(
        &self,
        user: &str,
        preference: Option<f32>,
        target: &Target,
    ) -> Result<Option<Arc<Known>>, LearningError> {
        let name = user.to_owned();
        let declared = preference.map(|preference| Declared { preference, at: clock::now() });
        self.call(Durability::Durable, move |store| store.declare(&name, declared)).await?;
        Ok(self.refreshed(user, target).await)
    }

    /// Erases everything that is kept about `user`; returns when no byte of it is left in the store.
    ///
    /// # Errors
    ///
    /// Fails if the store is away.
    pub async fn erase(&self, user: &str, target: &Target) -> Result<Removed, LearningError> {
        let name = user.to_owned();
        let removed = self.call(Durability::Durable, move |store| store.erase(&name)).await?;
        self.rate.forget(user);
        self.refreshed(user, target).await;
        Ok(removed)
    }

    /// Adds what another gateway, or an earlier export, knows of `user`; returns the number of signals that were new.
    ///
    /// # Errors
    ///
    /// Fails if the store is away.
    pub async fn import(&self, user: &str, data: UserData, target: &Target) -> Result<usize, LearningError> {
        let name = user.to_owned();
        let added = self.call(Durability::Durable, move |store| import_into(store, &name, data)).await?;
        self.refreshed(user, target).await;
        Ok(added)
    }

    /// Runs `operation` on the store's thread; returns its result once the batch is committed.
    async fn call<T: Send + 'static>(
        &self,
        durability: Durability,
        operation: impl FnOnce(&mut dyn RawStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, LearningError> {
        let (reply, receiver) = oneshot::channel();
        let run = move |store: &mut dyn RawStore| {
            let result = operation(store)?;
            let finish: Callback = Box::new(move || {
                // The requester may have stopped waiting.
                let _gone = reply.send(result);
            });
            Ok(finish)
        };
        if !self.queue.push(Operation { run: Box::new(run), durability }) {
            return Err(LearningError::Unavailable("too many signals wait to be written"));
        }
        match tokio::time::timeout(STORE, receiver).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(LearningError::Unavailable("the store failed")),
            Err(_) => Err(LearningError::Unavailable("the store is too slow")),
        }
    }

    /// Makes the profile of `user` anew, and returns it if that is quick.
    async fn refreshed(&self, user: &str, target: &Target) -> Option<Arc<Known>> {
        let Some(receiver) = self.adapter.refresh(user, target) else {
            self.cache.forget(user);
            return None;
        };
        tokio::time::timeout(ACKNOWLEDGE, receiver).await.ok()?.ok()?
    }

    fn missing(&self, cached: Option<Arc<Known>>, reason: &'static str) -> (Option<Arc<Known>>, Option<&'static str>) {
        self.metrics.learning().missing(reason);
        (cached, Some(reason))
    }
}

impl Drop for Learning {
    fn drop(&mut self) {
        self.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the thread that keeps signals panicked");
        }
    }
}

/// Whose decisions a caller may speak about.
#[derive(Debug, Clone)]
pub struct Owner {
    /// The user of the caller, or the one that it names.
    pub named: Option<String>,
    /// Whether it may speak about every user.
    pub is_anybody: bool,
}

impl Owner {
    fn may_be(&self, user: &str) -> bool {
        self.is_anybody || self.named.as_deref() == Some(user)
    }
}

fn store_feedback(
    store: &mut dyn RawStore,
    feedback: Feedback,
    owner: &Owner,
    rate: &SignalRate,
    unknown: Origin,
) -> Result<Result<Stored, Refusal>, StoreError> {
    let idempotency = feedback.idempotency_key.clone();
    let wants_another = feedback.retry;
    let (user, signal, next_best) = match &feedback.about {
        About::Decision(id) => {
            let Some(decision) = store.decision(id)?.filter(|decision| owner.may_be(&decision.user)) else {
                return Ok(Err(Refusal::UnknownDecision));
            };
            let signal = match resolve::signal(&decision, feedback) {
                Ok(signal) => signal,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let next_best = resolve::next_best(&decision, &signal.said).filter(|_| wants_another);
            (decision.user, signal, next_best)
        }
        About::Answer { task, .. } => {
            let Some(user) = owner.named.clone() else { return Ok(Err(Refusal::NoUser)) };
            let task = task.clone().map(|name| TaskGuess { name, probability: 1.0 });
            let llm = feedback.said.llm().unwrap_or_default().to_owned();
            let received = clock::now();
            let signal = Signal {
                decision: resolve::own_id(),
                at: feedback.at.unwrap_or(received),
                said: feedback.said,
                received,
                origin: Origin { task, llm, ..unknown },
            };
            (user, signal, None)
        }
    };
    if let Err(wait) = rate.count(&user, Instant::now()) {
        return Ok(Err(Refusal::TooMany(wait)));
    }
    let put = store.put_signal(&user, &signal, idempotency.as_deref())?;
    Ok(Ok(Stored { user, decision: signal.decision, put, next_best }))
}

fn import_into(store: &mut dyn RawStore, user: &str, data: UserData) -> Result<usize, StoreError> {
    let mut added = 0;
    let (received, mut declared) = (clock::now(), data.declared);
    for mut signal in data.signals {
        signal.received = received;
        added += usize::from(!store.put_signal(user, &signal, None)?.is_duplicate);
    }
    for mut decision in data.decisions {
        // A decision of somebody else keeps its owner.
        if store.decision(&decision.id)?.is_none() {
            user.clone_into(&mut decision.user);
            store.put_decision(&decision)?;
        }
    }
    if let Some(declared) = declared.take() {
        store.declare(user, Some(declared))?;
    }
    Ok(added)
}
