//! Tests of batched inline decisions.

use std::{
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use futures_util::future::join_all;
use personaroute_host::{Decision, UserState};

use super::*;

const MAX_BATCH: usize = 3;

/// Returns the text as the reason and records the size of each batch. A batch with "bad" fails; "refused" is invalid.
#[derive(Default)]
struct Noting(Mutex<Vec<usize>>);

impl Scorer for Arc<Noting> {
    fn knows(&self, _: &str) -> bool {
        false
    }

    fn route(&self, request: &RouteRequest) -> RouteResult {
        self.route_batch(std::slice::from_ref(request)).remove(0)
    }

    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<RouteResult> {
        self.0.lock().unwrap().push(requests.len());
        assert!(requests.iter().all(|request| request.text != "panic"), "asked to");
        if requests.iter().any(|request| request.text == "bad") {
            return vec![Err(RouteError::Trapped { reason: "bad".to_owned() }); requests.len()];
        }
        requests.iter().map(answer).collect()
    }
}

fn answer(request: &RouteRequest) -> RouteResult {
    if request.text == "refused" {
        return Err(RouteError::InvalidRequest("refused".to_owned()));
    }
    let why = request.text.clone();
    Ok(Decision { ranking: Vec::new(), user_state: UserState::New, task: None, why, elapsed: Duration::ZERO })
}

fn batcher() -> (Batcher, Arc<Noting>) {
    let noting = Arc::new(Noting::default());
    let latency = Arc::new(LatencyEstimator::new(Instant::now()));
    (Batcher::new(Arc::new(Arc::clone(&noting)), latency, MAX_BATCH), noting)
}

fn job(text: &str) -> RouteJob {
    RouteJob { request: RouteRequest { text: text.to_owned(), ..RouteRequest::default() }, preference: None }
}

/// Submits all texts together; returns the outcome of each and the size of each batch.
async fn ask(texts: &[&str]) -> (Vec<String>, Vec<usize>) {
    let (batcher, noting) = batcher();
    let made = join_all(texts.iter().map(|text| batcher.decide(job(text)))).await;
    let told = made.into_iter().map(|made| match made {
        Ok(Ok(decision)) => decision.why,
        Ok(Err(error)) => error.label().to_owned(),
        Err(back) => format!("{} goes to the pool", back.request.text),
    });
    let calls = noting.0.lock().unwrap().clone();
    (told.collect(), calls)
}

#[tokio::test]
async fn requests_that_are_ready_together_share_one_call_and_get_their_own_results() {
    let (told, calls) = ask(&["a", "refused", "c"]).await;
    assert_eq!(told, ["a", "invalid_request", "c"]);
    assert_eq!(calls, [3]);
}

#[tokio::test]
async fn a_batch_is_limited_and_the_remaining_jobs_follow_in_the_next_one() {
    let texts: Vec<String> = (0..2 * MAX_BATCH + 1).map(|idx| idx.to_string()).collect();
    let (told, calls) = ask(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(told, texts);
    assert_eq!(calls, [MAX_BATCH, MAX_BATCH, 1]);
}

#[tokio::test]
async fn a_failure_in_a_batch_sends_every_job_to_the_pool() {
    for text in ["bad", "panic"] {
        let (told, calls) = ask(&["a", text]).await;
        assert_eq!(told, ["a goes to the pool".to_owned(), format!("{text} goes to the pool")]);
        assert_eq!(calls, [2]);
    }
    assert_eq!(ask(&["bad"]).await.0, ["trapped"], "it was alone");
    assert_eq!(ask(&["panic"]).await.0, ["plugin"]);
}

#[tokio::test]
async fn a_request_whose_client_disconnected_is_skipped() {
    let (batcher, noting) = batcher();
    let mut ctx = Context::from_waker(Waker::noop());
    let mut stays = pin!(batcher.decide(job("stays")));
    let mut gone = Box::pin(batcher.decide(job("gone")));
    assert!(stays.as_mut().poll(&mut ctx).is_pending() && gone.as_mut().poll(&mut ctx).is_pending());
    drop(gone);
    assert!(matches!(stays.await, Ok(Ok(decision)) if decision.why == "stays"));
    assert_eq!(*noting.0.lock().unwrap(), [1]);
}

#[tokio::test]
async fn when_the_leader_is_dropped_the_others_go_to_the_pool_and_the_next_request_leads() {
    let (batcher, noting) = batcher();
    let mut ctx = Context::from_waker(Waker::noop());
    let mut first = Box::pin(batcher.decide(job("first")));
    let mut second = pin!(batcher.decide(job("second")));
    assert!(first.as_mut().poll(&mut ctx).is_pending() && second.as_mut().poll(&mut ctx).is_pending());
    drop(first);
    assert!(matches!(second.await, Err(back) if back.request.text == "second"));
    assert!(matches!(batcher.decide(job("third")).await, Ok(Ok(decision)) if decision.why == "third"));
    assert_eq!(*noting.0.lock().unwrap(), [1]);
}
