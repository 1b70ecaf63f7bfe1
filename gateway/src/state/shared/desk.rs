//! Where requests lay their wishes for money, and wait for the verdicts.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use tokio::sync::{Notify, oneshot};

use crate::state::{
    account::Refusal,
    books::{Hold, Line},
    lock,
};

/// What lies between the requests and the task that talks to the store.
#[derive(Debug)]
pub(in crate::state) struct Desk {
    tray: Mutex<Tray>,
    filled: Notify,
    /// How long a request waits for its verdict.
    patience: Duration,
}

#[derive(Debug)]
struct Tray {
    /// Whether the store is thought to answer.
    is_open: bool,
    asks: VecDeque<Ask>,
}

/// A request's wish to set money aside.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) lines: Vec<Line>,
    pub(super) usd: f64,
    pub(super) reply: oneshot::Sender<Verdict>,
}

/// What becomes of such a wish.
#[derive(Debug)]
pub(in crate::state) enum Verdict {
    /// The money is set aside here and there.
    Granted(Hold),
    /// All processes together have not enough left.
    Refused(Refusal),
    /// Nobody answered in time.
    Away,
}

impl Desk {
    /// Returns a desk at which a request waits for `patience`.
    pub(in crate::state) fn new(patience: Duration) -> Self {
        let tray = Tray { is_open: true, asks: VecDeque::new() };
        Self { tray: Mutex::new(tray), filled: Notify::new(), patience }
    }

    /// Asks for `usd` of each of `lines`, or of none.
    pub(in crate::state) async fn ask(&self, lines: Vec<Line>, usd: f64) -> Verdict {
        let (reply, verdict) = oneshot::channel();
        {
            let mut tray = lock(&self.tray);
            if !tray.is_open {
                return Verdict::Away;
            }
            tray.asks.push_back(Ask { lines, usd, reply });
        }
        self.filled.notify_one();
        match tokio::time::timeout(self.patience, verdict).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) | Err(_) => Verdict::Away,
        }
    }

    /// Takes `most` wishes at most, of those that somebody still waits for.
    pub(super) fn take(&self, most: usize) -> Vec<Ask> {
        let mut tray = lock(&self.tray);
        let count = tray.asks.len().min(most);
        tray.asks.drain(..count).filter(|ask| !ask.reply.is_closed()).collect()
    }

    /// Waits until somebody has asked since the last wait; for one waiter.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    pub(super) fn open(&self) {
        lock(&self.tray).is_open = true;
    }

    /// Sends everybody away, now and until it is opened.
    pub(super) fn close(&self) {
        let mut tray = lock(&self.tray);
        tray.is_open = false;
        tray.asks.clear();
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Period;

    use super::*;

    fn line() -> Line {
        Line { account: "key:k".into(), per: Period::Day, period: 1, most: 1.0, rest: Duration::ZERO }
    }

    #[tokio::test]
    async fn a_closed_desk_lets_nobody_wait_and_sends_those_away_who_do() {
        let desk = Desk::new(Duration::from_secs(3_600));
        let waiting = desk.ask(vec![line()], 0.5);
        let closing = async { desk.close() };
        let (verdict, ()) = tokio::join!(biased; waiting, closing);
        assert!(matches!(verdict, Verdict::Away));
        assert!(matches!(desk.ask(vec![line()], 0.5).await, Verdict::Away));
        desk.open();
        let refusing = async {
            let refusal = Refusal { limit: "budget", wait: Duration::ZERO };
            desk.take(9).into_iter().for_each(|ask| drop(ask.reply.send(Verdict::Refused(refusal))));
        };
        let (verdict, ()) = tokio::join!(biased; desk.ask(vec![line()], 0.5), refusing);
        assert!(matches!(verdict, Verdict::Refused(_)));
    }

    #[tokio::test]
    async fn who_stopped_waiting_is_not_asked_for() {
        let desk = Desk::new(Duration::from_millis(10));
        assert!(matches!(desk.ask(vec![line()], 0.5).await, Verdict::Away));
        assert!(desk.take(9).is_empty(), "the wish lies there no more");
    }
}
