//! What one call of the script says and answers.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use super::{desk::Ask, resp::Reply};
use crate::{
    config::Period,
    state::{Refusal, Store, calendar},
};

/// How much longer than its period a hash is kept: requests that began before midnight end after it.
const GRACE: Duration = Duration::from_secs(86_400);

/// Largest amount that Lua's numbers count without gaps.
const MOST: f64 = 9_007_199_254_740_992.0;

/// Some wishes, and the newest spending of some accounts.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) asks: Vec<Ask>,
    entries: Vec<Entry>,
    places: HashMap<(String, u64), usize>,
}

/// An account in a period.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) shelf: String,
    pub(super) period: u64,
    own: f64,
    keep: Duration,
}

/// What the store says.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    /// For each wish the refusal, if it is refused.
    pub(super) wishes: Vec<Option<Refusal>>,
    /// For each entry what other processes have spent, in USD.
    pub(super) others: Vec<f64>,
}

impl Batch {
    /// Puts together what is asked and what has changed, with this process's spending as `store` has it.
    pub(super) fn of(asks: Vec<Ask>, changed: Vec<String>, store: &dyn Store, date: SystemTime) -> Self {
        let mut batch = Self { asks, entries: Vec::new(), places: HashMap::new() };
        let mut asked = Vec::new();
        for line in batch.asks.iter().flat_map(|ask| &ask.lines) {
            asked.push((line.shelf(), line.period, line.rest));
        }
        for (shelf, period, rest) in asked {
            batch.add(shelf, period, rest, store);
        }
        for shelf in changed {
            let per = Period::ALL.into_iter().find(|per| shelf.starts_with(per.as_str()));
            if let (Some(per), Some(spending)) = (per, store.recall(&shelf)) {
                let (running, rest) = calendar::period(per, date);
                let rest = if running == spending.period { rest } else { Duration::ZERO };
                batch.add(shelf, spending.period, rest, store);
            }
        }
        batch
    }

    fn add(&mut self, shelf: String, period: u64, rest: Duration, store: &dyn Store) {
        let place = (shelf, period);
        if self.places.contains_key(&place) {
            return;
        }
        let spending = store.recall(&place.0).filter(|spending| spending.period == period);
        let own = spending.map_or(0.0, |spending| spending.usd);
        self.entries.push(Entry { shelf: place.0.clone(), period, own, keep: rest + GRACE });
        self.places.insert(place, self.entries.len());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.asks.is_empty() && self.entries.is_empty()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the keys of the script, which one hash tag keeps together on one node.
    pub(super) fn keys(&self, prefix: &str, writer: &str) -> Vec<String> {
        let mut keys = vec![batch_key(prefix, writer)];
        keys.extend(self.entries.iter().map(|entry| format!("{{{prefix}}}:{}:{}", entry.period, entry.shelf)));
        keys
    }

    /// Returns the arguments of the script.
    pub(super) fn arguments(&self, writer: &str, number: u64) -> Vec<String> {
        let mut words = vec![writer.to_owned(), number.to_string()];
        for entry in &self.entries {
            words.extend([nano(entry.own), entry.keep.as_secs().to_string()]);
        }
        for ask in &self.asks {
            words.extend([nano(ask.usd), ask.lines.len().to_string()]);
            for line in &ask.lines {
                let place = self.places.get(&(line.shelf(), line.period)).copied().unwrap_or_default();
                // The first key is the batch's number.
                words.extend([(place + 1).to_string(), nano(line.most)]);
            }
        }
        words
    }

    /// Reads the script's answer; none is not an answer to this batch.
    pub(super) fn outcome(&self, reply: &Reply) -> Option<Outcome> {
        let Reply::List(items) = reply else { return None };
        let mut numbers = Vec::with_capacity(items.len());
        for item in items {
            let Reply::Number(number) = item else { return None };
            numbers.push(*number);
        }
        let (exceeded, others) = numbers.split_at_checked(self.asks.len())?;
        if others.len() != self.entries.len() {
            return None;
        }
        let wishes = self.asks.iter().zip(exceeded).map(|(ask, exceeded)| refusal(ask, *exceeded)).collect();
        Some(Outcome { wishes, others: others.iter().map(|nano| usd(*nano)).collect() })
    }
}

/// Where the number of the process's newest batch is kept.
pub(super) fn batch_key(prefix: &str, writer: &str) -> String {
    format!("{{{prefix}}}:batch:{writer}")
}

/// Who is over several budgets waits for the longest period.
fn refusal(ask: &Ask, exceeded: i64) -> Option<Refusal> {
    let lines = ask.lines.iter().enumerate().filter(|(idx, _)| exceeded & (1 << idx) != 0);
    lines.map(|(_, line)| line.rest).max().map(|wait| Refusal { limit: "budget", wait })
}

/// USD as whole nano-USD.
fn nano(usd: f64) -> String {
    format!("{:.0}", (usd * 1e9).clamp(0.0, MOST))
}

#[expect(clippy::cast_precision_loss, reason = "invariant: the script keeps amounts below 2^53")]
fn usd(nano: i64) -> f64 {
    nano as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::state::{Memory, Spending, books::Line};

    fn line(per: Period, period: u64, most: f64, rest: u64) -> Line {
        Line { account: "key:k".into(), per, period, most, rest: Duration::from_secs(rest) }
    }

    fn ask(lines: Vec<Line>, usd: f64) -> Ask {
        Ask { lines, usd, reply: oneshot::channel().0 }
    }

    #[test]
    fn what_is_asked_and_what_changed_is_said_once_each() {
        let memory = Memory::default();
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * 10 + 400);
        memory.keep("day/key:k", Spending { period: 10, usd: 0.1 + 0.2 });
        memory.keep("day/user:u", Spending { period: 9, usd: 2.0 });
        let lines = vec![line(Period::Day, 10, 0.5, 86_000), line(Period::Month, 300, 1e12, 200_000)];
        let changed = ["day/key:k", "day/user:u", "day/gone"].map(str::to_owned).to_vec();
        let batch = Batch::of(vec![ask(lines, 0.125)], changed, &memory, date);
        let keys = ["{p}:batch:w", "{p}:10:day/key:k", "{p}:300:month/key:k", "{p}:9:day/user:u"];
        assert_eq!(batch.keys("p", "w"), keys);
        let own = ["300000000", "172400", "0", "286400", "2000000000", "86400"];
        let wish = ["125000000", "2", "2", "500000000", "3", "9007199254740992"];
        let said = batch.arguments("w", 7);
        assert_eq!(said.iter().map(String::as_str).collect::<Vec<_>>(), [&["w", "7"][..], &own, &wish].concat());
    }

    #[test]
    fn answers_are_told_apart_and_others_are_not_believed() {
        let memory = Memory::default();
        let lines = || vec![line(Period::Day, 10, 1.0, 60), line(Period::Month, 300, 1.0, 900)];
        let asks = vec![ask(lines(), 0.5), ask(lines(), 0.5), ask(lines(), 0.5)];
        let batch = Batch::of(asks, Vec::new(), &memory, SystemTime::UNIX_EPOCH);
        let numbers = |numbers: &[i64]| Reply::List(numbers.iter().map(|number| Reply::Number(*number)).collect());
        let refused = |seconds| Some(Refusal { limit: "budget", wait: Duration::from_secs(seconds) });
        let outcome = batch.outcome(&numbers(&[0, 1, 3, 500_000_000, 0])).unwrap();
        assert_eq!(outcome, Outcome { wishes: vec![None, refused(60), refused(900)], others: vec![0.5, 0.0] });
        for wrong in [numbers(&[0, 0, 0, 0]), numbers(&[0; 6]), numbers(&[]), Reply::Nil, Reply::Text("OK".into())] {
            assert_eq!(batch.outcome(&wrong), None);
        }
    }
}
