//! Facts about the routing threads.

use std::sync::{Barrier, Mutex};

use personaroute_host::UserState;

use super::*;

type Behaviour = Box<dyn Fn(&RouteRequest) -> Answer + Send + Sync>;

struct Fake(Behaviour);

impl Scorer for Fake {
    fn knows(&self, user: &str) -> bool {
        user == "known"
    }

    fn route(&self, request: &RouteRequest) -> Answer {
        (self.0)(request)
    }

    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<Answer> {
        requests.iter().map(&self.0).collect()
    }
}

fn pool(queue: usize, deadline: Duration, behaviour: Behaviour) -> RoutePool {
    let scorer: Arc<dyn Scorer> = Arc::new(Fake(behaviour));
    RoutePool::start(&scorer, 1, queue, deadline).unwrap()
}

fn question(user: Option<&str>, preference: Option<f32>) -> Question {
    let request = RouteRequest { user: user.map(str::to_owned), ..RouteRequest::default() };
    Question { request, preference }
}

fn echo(request: &RouteRequest) -> Answer {
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
    assert!(matches!(pool.route(question(None, None)).await, Err(RouteError::Plugin(_))));
    assert!(pool.route(question(None, None)).await.is_ok());
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_slow_router_times_out() {
    let gate = Arc::new(Barrier::new(2));
    let inside = Arc::clone(&gate);
    let behaviour = move |request: &RouteRequest| {
        inside.wait();
        echo(request)
    };
    let pool = pool(1, Duration::from_millis(1), Box::new(behaviour));
    assert_eq!(pool.route(question(None, None)).await, Err(RouteError::Timeout));
    // The thread is held at the gate, or about to be; one more waits in the queue, and then it is full.
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(pool.route(question(None, None)).await);
    }
    assert!(answers.contains(&Err(RouteError::Overloaded)), "{answers:?}");
    gate.wait();
}

#[tokio::test]
async fn the_default_preference_is_for_unknown_users_only() {
    let pool = pool(4, Duration::from_secs(30), Box::new(echo));
    let questions = vec![
        question(Some("known"), Some(0.5)),
        question(Some("new"), Some(0.5)),
        question(None, Some(0.5)),
        question(None, None),
    ];
    let whys: Vec<_> = pool.route_batch(questions).await.into_iter().map(|answer| answer.unwrap().why).collect();
    assert_eq!(whys, ["own", "0.5", "0.5", "own"]);
}
