//! Tests of the thread pool and its inline path.

use std::{
    pin::pin,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Waker},
};

use personaroute_host::{Decision, UserState};

use super::*;

type Behaviour = Box<dyn Fn(&RouteRequest) -> RouteResult + Send + Sync>;

struct Fake(Behaviour);

impl Scorer for Fake {
    fn knows(&self, user: &str) -> bool {
        user == "known"
    }

    fn route(&self, request: &RouteRequest) -> RouteResult {
        (self.0)(request)
    }

    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<RouteResult> {
        requests.iter().map(&self.0).collect()
    }
}

fn pool(queue: usize, deadline: Duration, behaviour: Behaviour) -> RoutePool {
    let scorer: Arc<dyn Scorer> = Arc::new(Fake(behaviour));
    RoutePool::start(&scorer, PoolLimits { threads: 1, queue, batch: 8, deadline }).unwrap()
}

fn job(user: Option<&str>, preference: Option<f32>) -> RouteJob {
    let request = RouteRequest { user: user.map(str::to_owned), ..RouteRequest::default() };
    RouteJob { request, preference }
}

fn echo(request: &RouteRequest) -> RouteResult {
    let why = request.preference.map_or_else(|| "own".to_owned(), |preference| preference.to_string());
    Ok(Decision { ranking: Vec::new(), user_state: UserState::New, task: None, why, elapsed: Duration::ZERO })
}

#[tokio::test]
async fn a_panicking_router_fails_one_request_and_not_the_next() {
    let first = Mutex::new(true);
    let behaviour = move |request: &RouteRequest| {
        assert!(!std::mem::take(&mut *first.lock().unwrap_or_else(|lock| lock.into_inner())), "first call");
        echo(request)
    };
    let pool = pool(4, Duration::from_secs(30), Box::new(behaviour));
    assert!(matches!(pool.route(job(None, None)).await, Err(RouteError::Plugin(_))));
    assert!(pool.route(job(None, None)).await.is_ok());
}

/// A behaviour that signals its start and then blocks until the test releases it.
fn held() -> (Behaviour, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begin, began) = mpsc::channel();
    let (open, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let behaviour = move |request: &RouteRequest| {
        begin.send(()).unwrap();
        // The test may have ended already.
        let _ended = gate.lock().unwrap().recv();
        echo(request)
    };
    (Box::new(behaviour), began, open)
}

/// Decides fast, but the `fails`-th inline decision times out.
struct Quick {
    quickly: AtomicUsize,
    slowly: AtomicUsize,
    fails: usize,
}

impl Scorer for Arc<Quick> {
    fn knows(&self, _: &str) -> bool {
        false
    }

    fn route(&self, request: &RouteRequest) -> RouteResult {
        self.slowly.fetch_add(1, Ordering::SeqCst);
        echo(request)
    }

    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<RouteResult> {
        requests.iter().map(echo).collect()
    }

    fn can_run_inline(&self, _: &RouteRequest) -> bool {
        true
    }

    fn route_inline(&self, requests: &[RouteRequest]) -> Vec<RouteResult> {
        let is_late = self.quickly.fetch_add(1, Ordering::SeqCst) + 1 == self.fails;
        if !is_late {
            return self.route_batch(requests);
        }
        let timer = CpuTimer::begin();
        while timer.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        vec![Err(RouteError::Timeout); requests.len()]
    }
}

#[tokio::test]
async fn decisions_run_inline_once_they_are_measured_as_fast_and_until_one_times_out() {
    let quick = Arc::new(Quick { quickly: AtomicUsize::new(0), slowly: AtomicUsize::new(0), fails: 3 });
    let scorer: Arc<dyn Scorer> = Arc::new(Arc::clone(&quick));
    let limits = PoolLimits { threads: 1, queue: 4, batch: 8, deadline: Duration::from_secs(30) };
    let pool = RoutePool::start(&scorer, limits).unwrap();
    assert_eq!(pool.route(job(None, Some(0.5))).await.unwrap().why, "0.5");
    assert_eq!(quick.quickly.load(Ordering::SeqCst), 0, "nothing was measured yet");
    // As after many fast decisions.
    (0..100).for_each(|_| pool.latency.record(Duration::from_micros(50)));
    let before = quick.slowly.load(Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(pool.route(job(None, Some(0.5))).await.unwrap().why, "0.5");
    }
    assert_eq!((quick.quickly.load(Ordering::SeqCst), quick.slowly.load(Ordering::SeqCst)), (2, before));
    for _ in 0..2 {
        assert!(pool.route(job(None, None)).await.is_ok(), "the thread pool decides");
    }
    assert_eq!((quick.quickly.load(Ordering::SeqCst), quick.slowly.load(Ordering::SeqCst)), (3, before + 2));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let (behaviour, began, open) = held();
    let pool = pool(1, Duration::from_secs(600), behaviour);
    let mut ctx = Context::from_waker(Waker::noop());
    let mut first = pin!(pool.route(job(None, None)));
    assert!(first.as_mut().poll(&mut ctx).is_pending());
    began.recv_timeout(Duration::from_secs(60)).unwrap();
    let mut second = pin!(pool.route(job(None, None)));
    assert!(second.as_mut().poll(&mut ctx).is_pending());
    assert_eq!(pool.route(job(None, None)).await, Err(RouteError::Overloaded));
    drop(open);
    assert!(first.await.is_ok() && second.await.is_ok());
}

#[tokio::test]
async fn a_slow_router_times_out() {
    let (behaviour, _began, _open) = held();
    let pool = pool(1, Duration::from_millis(1), behaviour);
    assert_eq!(pool.route(job(None, None)).await, Err(RouteError::Timeout));
}

#[tokio::test]
async fn the_default_preference_is_for_unknown_users_only() {
    let pool = pool(4, Duration::from_secs(30), Box::new(echo));
    let jobs = vec![job(Some("known"), Some(0.5)), job(Some("new"), Some(0.5)), job(None, Some(0.5)), job(None, None)];
    let whys: Vec<_> = pool.route_batch(jobs).await.into_iter().map(|answer| answer.unwrap().why).collect();
    assert_eq!(whys, ["own", "0.5", "0.5", "own"]);
}
