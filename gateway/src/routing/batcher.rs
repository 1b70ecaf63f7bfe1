//! Quick decisions, made on the threads that serve sockets: those of requests that are ready at the same time are one call of
//! the scorer, which takes little longer than one decision.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    thread::{self, ThreadId},
    time::Instant,
};

use personaroute_host::{RouteError, RouteRequest};
use tokio::sync::oneshot;

use super::{
    Scorer,
    pace::{Pace, Work},
    question::{Answer, Question, panicked, settle},
};

/// An answer, or the question back: other threads have to decide, and each alone.
type Made = Result<Answer, Box<Question>>;

/// Questions on their way into a call.
pub(super) struct Batcher {
    scorer: Arc<dyn Scorer>,
    pace: Arc<Pace>,
    /// By the thread that asks: an answer stays on its core.
    waiting: Mutex<Vec<(ThreadId, Vec<Waiting>)>>,
    /// Most decisions of one call: whoever waits for one of them waits for all.
    most: usize,
}

struct Waiting {
    question: Question,
    reply: oneshot::Sender<Made>,
}

impl Batcher {
    pub(super) fn new(scorer: Arc<dyn Scorer>, pace: Arc<Pace>, most: usize) -> Self {
        Self { scorer, pace, waiting: Mutex::default(), most }
    }

    /// Returns the scorer's decision, made on this thread once the requests that are ready have asked too.
    pub(super) async fn decide(&self, question: Question) -> Made {
        let (reply, made) = oneshot::channel();
        if let Some(turn) = self.wait(Waiting { question, reply }) {
            let mut is_more = true;
            while is_more {
                behind_the_ready().await;
                is_more = turn.call();
            }
        }
        made.await.unwrap_or_else(|_| Ok(Err(panicked())))
    }

    /// Lets `waiting` wait for its thread's next call; the first to do so has to make it.
    fn wait(&self, waiting: Waiting) -> Option<Turn<'_>> {
        let thread = thread::current().id();
        let mut lists = self.lists();
        let is_first = match lists.iter_mut().find(|(asking, _)| *asking == thread) {
            Some((_, list)) => {
                list.push(waiting);
                list.len() == 1
            }
            None => {
                lists.push((thread, vec![waiting]));
                true
            }
        };
        drop(lists);
        if is_first { Some(Turn { batcher: self, thread }) } else { None }
    }

    /// Takes out at most `most` that wait for a call of `thread`, and tells whether more do.
    fn take(&self, thread: ThreadId, most: usize) -> (Vec<Waiting>, bool) {
        let mut lists = self.lists();
        let Some((_, list)) = lists.iter_mut().find(|(asking, _)| *asking == thread) else {
            return (Vec::new(), false);
        };
        let taken = list.drain(..list.len().min(most)).collect();
        (taken, !list.is_empty())
    }

    /// Decides about all of `batch` in one call.
    fn call(&self, mut batch: Vec<Waiting>) {
        // A client that left needs no work.
        batch.retain(|waiting| !waiting.reply.is_closed());
        let count = batch.len();
        if count == 0 {
            return;
        }
        let work = Work::begin();
        let open = |mut waiting: Waiting| {
            settle(&*self.scorer, &mut waiting.question);
            let Question { request, preference } = waiting.question;
            (request, (preference, waiting.reply))
        };
        let (requests, asked): (Vec<RouteRequest>, Vec<_>) = batch.into_iter().map(open).unzip();
        let answers = catch_unwind(AssertUnwindSafe(|| self.scorer.route_quickly(&requests)));
        let answers = answers.unwrap_or_else(|_| vec![Err(panicked()); count]);
        if answers.iter().any(is_late) {
            self.pace.gave_up(work.time(), Instant::now());
        } else {
            self.pace.took(work.time() / u32::try_from(count).unwrap_or(u32::MAX));
        }
        for ((answer, request), (preference, reply)) in answers.into_iter().zip(requests).zip(asked) {
            let is_final = is_final(&answer, count == 1);
            let made = if is_final { Ok(answer) } else { Err(Box::new(Question { request, preference })) };
            let _gone = reply.send(made);
        }
    }

    /// A panic cannot leave the lists half changed: every change is one call.
    fn lists(&self) -> MutexGuard<'_, Vec<(ThreadId, Vec<Waiting>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The duty to decide for all who wait on a thread; who gives it up sends them elsewhere.
struct Turn<'a> {
    batcher: &'a Batcher,
    thread: ThreadId,
}

impl Turn<'_> {
    /// Makes one call, and tells whether another one is due.
    fn call(&self) -> bool {
        let (batch, is_more) = self.batcher.take(self.thread, self.batcher.most);
        self.batcher.call(batch);
        is_more
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let (left, _) = self.batcher.take(self.thread, usize::MAX);
        for Waiting { question, reply } in left {
            let _gone = reply.send(Err(Box::new(question)));
        }
    }
}

/// Lets everything run that is ready to run on this thread.
async fn behind_the_ready() {
    let mut has_waited = false;
    poll_fn(|ctx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        ctx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn is_late(answer: &Answer) -> bool {
    matches!(answer, Err(RouteError::Timeout | RouteError::Overloaded))
}

/// Returns whether nothing else can be expected of this request; beside others in a call it may have failed for theirs.
fn is_final(answer: &Answer, is_alone: bool) -> bool {
    match answer {
        Ok(_) | Err(RouteError::InvalidRequest(_)) => true,
        Err(RouteError::Timeout | RouteError::Overloaded) => false,
        Err(
            RouteError::Trapped { .. }
            | RouteError::OutOfMemory
            | RouteError::InvalidDecision(_)
            | RouteError::Inference(_)
            | RouteError::Plugin(_),
        ) => is_alone,
    }
}

#[cfg(test)]
mod tests;
