//! The queue refuses, groups, gives up and fails as it says, without a model.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use super::*;

/// How long a step of a test may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Encodes a text of n letters as [n], once the test lets it; tells the size of each group.
struct Gated {
    gate: Mutex<Receiver<Result<(), EncoderError>>>,
    groups: Mutex<Sender<usize>>,
}

impl Encode for Gated {
    fn ids(&self, text: &str) -> Result<Vec<i64>, EncoderError> {
        Ok(vec![0; text.len()])
    }

    fn run(&self, texts: &[&[i64]], _deadline: Instant) -> Result<Vec<Vec<f32>>, EncoderError> {
        self.groups.lock().unwrap().send(texts.len()).unwrap();
        self.gate.lock().unwrap().recv_timeout(LIMIT).unwrap()?;
        Ok(texts.iter().map(|ids| vec![ids.len() as f32]).collect())
    }
}

fn start(room: usize) -> (Queue, Sender<Result<(), EncoderError>>, Receiver<usize>) {
    let (open, gate) = channel();
    let (groups, sizes) = channel();
    let gated = Gated { gate: Mutex::new(gate), groups: Mutex::new(groups) };
    (Queue::start(Box::new(gated), 1, room).unwrap(), open, sizes)
}

fn soon() -> Instant {
    Instant::now() + LIMIT
}

/// Waits until so many texts stand in the queue.
fn await_waiting(queue: &Queue, count: usize) {
    let limit = Instant::now() + LIMIT;
    while queue.0.state().waiting.len() < count {
        assert!(Instant::now() < limit, "waited {LIMIT:?} for {count} texts in the queue");
        thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn waiting_texts_of_similar_length_share_a_run() {
    let (queue, open, sizes) = start(10);
    thread::scope(|scope| {
        let first = scope.spawn(|| queue.embed("abc", soon()));
        assert_eq!(sizes.recv_timeout(LIMIT), Ok(1), "an idle worker takes a text at once");
        let later = ["aa", "bbb", "a long text of another group"].map(|text| scope.spawn(|| queue.embed(text, soon())));
        await_waiting(&queue, 3);
        (0..3).for_each(|_| open.send(Ok(())).unwrap());
        assert_eq!(first.join().unwrap(), Ok(vec![3.0]));
        let answers = later.map(|later| later.join().unwrap().unwrap());
        assert_eq!(answers, [[2.0], [3.0], [28.0]]);
        assert_eq!((sizes.recv_timeout(LIMIT), sizes.recv_timeout(LIMIT)), (Ok(2), Ok(1)));
    });
}

#[test]
fn a_full_queue_refuses_at_once() {
    let (queue, open, sizes) = start(1);
    thread::scope(|scope| {
        let first = scope.spawn(|| queue.embed("a", soon()));
        sizes.recv_timeout(LIMIT).unwrap();
        let second = scope.spawn(|| queue.embed("b", soon()));
        await_waiting(&queue, 1);
        assert_eq!(queue.embed("c", soon()), Err(EncoderError::Overloaded));
        (0..2).for_each(|_| open.send(Ok(())).unwrap());
        assert!(first.join().unwrap().is_ok() && second.join().unwrap().is_ok());
    });
}

#[test]
fn a_caller_does_not_wait_past_its_deadline_and_its_text_is_not_encoded() {
    let (queue, open, sizes) = start(10);
    thread::scope(|scope| {
        let first = scope.spawn(|| queue.embed("a", soon()));
        sizes.recv_timeout(LIMIT).unwrap();
        assert_eq!(queue.embed("b", Instant::now()), Err(EncoderError::Timeout));
        (0..2).for_each(|_| open.send(Ok(())).unwrap());
        assert!(first.join().unwrap().is_ok());
        assert_eq!(queue.embed("late", soon()), Ok(vec![4.0]));
        assert_eq!(sizes.recv_timeout(LIMIT), Ok(1), "the text that nobody waits for is passed over");
    });
}

#[test]
fn a_text_passed_over_by_an_idle_worker_ends_in_timeout_too() {
    let (queue, _open, sizes) = start(200);
    for _ in 0..200 {
        assert_eq!(queue.embed("a", Instant::now()), Err(EncoderError::Timeout));
    }
    assert!(sizes.try_recv().is_err(), "no text was encoded");
}

#[test]
fn a_failed_run_fails_its_texts_alone() {
    let (queue, open, _sizes) = start(10);
    open.send(Err(EncoderError::Failed("no device".to_owned()))).unwrap();
    open.send(Ok(())).unwrap();
    assert_eq!(queue.embed("a", soon()), Err(EncoderError::Failed("no device".to_owned())));
    assert_eq!(queue.embed("a", soon()), Ok(vec![1.0]));
}
