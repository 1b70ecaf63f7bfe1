//! A model runtime that fails, stalls or returns invalid outputs fails the call only.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use personaroute_harness::bundle::BundleSpec;
use personaroute_harness::wait;
use personaroute_host::infer::fake::Fake;
use personaroute_host::infer::{Backend, Elements, InferError, Tensor};
use personaroute_host::{Interaction, Limits, RouteError, Router, TaskHint};
use tempfile::TempDir;

use super::adapt::rated;
use super::fixture::{options, request};

type Outputs = Result<Vec<Tensor>, InferError>;

fn open(limits: Limits, respond: impl Fn(&[Tensor]) -> Outputs + Send + Sync + 'static) -> (Router, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&BundleSpec::default(), &folder, |options| options.limits = limits);
    let backend = Fake::new(move |_graph, inputs| respond(inputs));
    (Router::with_backend(&options, Box::new(backend)).unwrap(), folder)
}

fn outputs(rows: u32, score: f32) -> Outputs {
    let tensor = |name: &str, columns: u32| Tensor {
        name: name.to_owned(),
        dims: vec![rows, columns],
        elements: Elements::Float32(vec![score; (rows * columns) as usize]),
    };
    let names = ["utility", "effect", "cost", "uncertainty"];
    let scores = names.into_iter().map(|name| tensor(name, 5));
    Ok(scores.chain([tensor("task_probability", 3)]).collect())
}

fn one_row() -> Outputs {
    outputs(1, 0.5)
}

#[test]
fn a_runtime_that_fails_ends_in_inference() {
    let (router, _folder) = open(Limits::default(), |_| Err(InferError::Runtime("no kernel".to_owned())));
    let error = router.route(&request(&router, None, "hello")).unwrap_err();
    assert!(matches!(&error, RouteError::Inference(reason) if reason.contains("no kernel")), "{error}");
}

#[test]
fn outputs_of_the_wrong_shape_end_in_inference() {
    let (router, _folder) = open(Limits::default(), |_| outputs(2, 0.5));
    let error = router.route(&request(&router, None, "hello")).unwrap_err();
    assert!(matches!(error, RouteError::Inference(_)), "{error}");
}

#[test]
fn scores_that_are_not_finite_never_become_a_decision() {
    let (router, _folder) = open(Limits::default(), |_| outputs(1, f32::NAN));
    let error = router.route(&request(&router, None, "hello")).unwrap_err();
    assert!(matches!(error, RouteError::Inference(_) | RouteError::InvalidDecision(_)), "{error}");
}

#[test]
fn a_batch_of_one_shape_takes_one_run_a_call() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&BundleSpec::default(), &folder, |options| options.limits.batch = 10);
    let backend = Arc::new(Fake::new(|_graph, inputs| outputs(inputs[0].dims[0], 0.5)));
    let router = Router::with_backend(&options, Box::new(Shared(Arc::clone(&backend)))).unwrap();
    let requests = vec![request(&router, Some("even"), "hello"); 25];
    assert!(router.route_batch(&requests).iter().all(Result::is_ok));
    assert_eq!(backend.runs(), 3);
}

struct Shared(Arc<Fake>);

impl Backend for Shared {
    fn run(&self, graph: &str, inputs: &[Tensor], deadline: std::time::Instant) -> Outputs {
        self.0.run(graph, inputs, deadline)
    }
}

#[test]
fn a_run_past_the_deadline_ends_in_timeout() {
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let limits = Limits { deadline: Duration::from_millis(20), ..Limits::default() };
    let (router, _folder) = open(limits, move |inputs| {
        // The first run waits until long after the deadline; the sender is dropped before the second.
        let _timeout = lock(&held).recv_timeout(Duration::from_millis(400));
        outputs(inputs[0].dims[0], 0.5)
    });
    assert_eq!(router.route(&request(&router, None, "hello")).unwrap_err(), RouteError::Timeout);
    drop(hold);
    assert!(router.route(&request(&router, None, "hello")).is_ok(), "the next call succeeds");
}

#[test]
fn calls_past_the_limit_are_refused_at_once() {
    let (entered, inside) = mpsc::channel::<()>();
    let (leave, gate) = mpsc::channel::<()>();
    let gate = Mutex::new((entered, gate));
    let limits = Limits { concurrency: 1, deadline: Duration::from_secs(60), ..Limits::default() };
    let (router, _folder) = open(limits, move |_| {
        wait_at(&gate);
        one_row()
    });
    thread::scope(|scope| {
        let first = scope.spawn(|| router.route(&request(&router, None, "hello")));
        inside.recv_timeout(wait::LIMIT).unwrap();
        assert_eq!(router.route(&request(&router, None, "hello")).unwrap_err(), RouteError::Overloaded);
        leave.send(()).unwrap();
        assert!(first.join().unwrap().is_ok());
    });
    leave.send(()).unwrap();
    assert!(router.route(&request(&router, None, "hello")).is_ok(), "the slot is free again");
}

/// Reports that a run has started and waits until it may end.
fn wait_at(gate: &Mutex<(Sender<()>, Receiver<()>)>) {
    let gate = lock(gate);
    gate.0.send(()).unwrap();
    gate.1.recv_timeout(wait::LIMIT).unwrap();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_task_that_is_not_known_is_a_row_of_zeros() {
    let (sent, seen) = mpsc::channel();
    let (router, _folder) = open(Limits::default(), move |inputs| {
        let task = inputs.iter().find(|input| input.name == "task").map(|input| input.elements.clone());
        let _ = sent.send(task);
        let tensor = |name: &str, values: Vec<f32>| Tensor {
            name: name.to_owned(),
            dims: vec![1, u32::try_from(values.len()).unwrap()],
            elements: Elements::Float32(values),
        };
        Ok(vec![tensor("user", vec![0.25; 8]), tensor("preference", vec![0.5]), tensor("certainty", vec![0.5])])
    });
    let of = |task: TaskHint| Interaction { task, ..rated("llm-1", 1, 1.0) };
    let declared = |name: &str| TaskHint::Declared(name.to_owned());
    let guessed = TaskHint::Guessed(vec![("task-1".to_owned(), 0.5), ("no such task".to_owned(), 0.25)]);
    let hints = [declared("task-2"), TaskHint::Unknown, declared("no such task"), guessed];
    let adapted = router.adapt(&router.prior(), &hints.map(of)).unwrap();
    assert_eq!((adapted.embedding, adapted.interactions), (vec![0.25; 8], 4));
    let rows = [[0.0, 0.0, 1.0], [0.0; 3], [0.0; 3], [0.0, 0.5, 0.0]];
    assert_eq!(
        seen.recv_timeout(wait::LIMIT).unwrap(),
        Some(Elements::Float32(rows.concat())),
        "the bundle has three tasks"
    );
}
