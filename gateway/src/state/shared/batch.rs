//! One call of the store's script: its keys, its arguments and its reply.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use super::reservation_queue::ReserveRequest;
use crate::{
    config::Period,
    state::{account::LimitExceeded, calendar, spending_store::SpendingStore},
};

/// How much longer than its period a hash is kept: requests that start before midnight end after it.
const GRACE: Duration = Duration::from_secs(86_400);

/// 2^53: above it, Lua's numbers skip integers.
const MAX_NANO_USD: f64 = 9_007_199_254_740_992.0;

/// Requests to reserve money, and the newest spending of some budgets.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) requests: Vec<ReserveRequest>,
    entries: Vec<Entry>,
    /// Index of each entry's hash in the script's keys, by budget key and period.
    indices: HashMap<(String, u64), usize>,
}

/// The spending of this process in one budget and period.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) period: u64,
    own: f64,
    ttl: Duration,
}

/// The script's decoded reply.
#[derive(Debug, PartialEq)]
pub(super) enum Decoded {
    /// The batch was executed.
    Done(BatchReply),
    /// The batch changed nothing, because `newest` is not below its number.
    Stale { newest: u64 },
}

/// The reply to an executed batch.
#[derive(Debug, PartialEq)]
pub(super) struct BatchReply {
    /// The number that the store had kept before.
    pub(super) previous: u64,
    /// For each request, the budget that is exceeded, if one is.
    pub(super) refusals: Vec<Option<LimitExceeded>>,
    /// For each entry, what other processes have spent, in USD.
    pub(super) others: Vec<f64>,
}

impl Batch {
    /// Returns a batch of `requests` and of the `dirty` keys, with this process's spending as `spending` has it.
    pub(super) fn new(
        requests: Vec<ReserveRequest>,
        dirty: Vec<String>,
        spending: &dyn SpendingStore,
        date: SystemTime,
    ) -> Self {
        let mut batch = Self { requests: Vec::new(), entries: Vec::new(), indices: HashMap::new() };
        for budget in requests.iter().flat_map(|request| &request.budgets) {
            batch.add(budget.key.clone(), budget.period, budget.remaining, spending);
        }
        for key in dirty {
            let per = Period::ALL.into_iter().find(|per| key.starts_with(per.as_str()));
            if let (Some(per), Some(own)) = (per, spending.own(&key)) {
                let (current, remaining) = calendar::period(per, date);
                let remaining = if current == own.period { remaining } else { Duration::ZERO };
                batch.add(key, own.period, remaining, spending);
            }
        }
        Self { requests, ..batch }
    }

    fn add(&mut self, key: String, period: u64, remaining: Duration, spending: &dyn SpendingStore) {
        let id = (key, period);
        if self.indices.contains_key(&id) {
            return;
        }
        let own = spending.own(&id.0).filter(|own| own.period == period).map_or(0.0, |own| own.usd);
        self.entries.push(Entry { key: id.0.clone(), period, own, ttl: remaining + GRACE });
        // Lua counts from one, and the first key is the batch number's.
        self.indices.insert(id, self.entries.len() + 1);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.entries.is_empty()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the script's keys, which one hash tag keeps in one slot.
    pub(super) fn keys(&self, prefix: &str, instance: &str) -> Vec<String> {
        let mut keys = vec![number_key(prefix, instance)];
        keys.extend(self.entries.iter().map(|entry| format!("{{{prefix}}}:{}:{}", entry.period, entry.key)));
        keys
    }

    /// Returns the script's arguments.
    pub(super) fn encode(&self, instance: &str, number: u64) -> Vec<String> {
        let mut arguments = vec![instance.to_owned(), number.to_string()];
        for entry in &self.entries {
            arguments.extend([nano_usd(entry.own), entry.ttl.as_secs().to_string()]);
        }
        for request in &self.requests {
            arguments.extend([nano_usd(request.usd), request.budgets.len().to_string()]);
            for budget in &request.budgets {
                let index = self.indices.get(&(budget.key.clone(), budget.period)).copied().unwrap_or_default();
                arguments.extend([index.to_string(), nano_usd(budget.limit)]);
            }
        }
        arguments
    }

    /// Decodes the reply to the batch sent as `number`; none if it is not the script's.
    pub(super) fn decode(&self, number: u64, reply: &[i64]) -> Option<Decoded> {
        let (newest, reply) = reply.split_first()?;
        let previous = u64::try_from(*newest).ok()?;
        if previous >= number {
            return Some(Decoded::Stale { newest: previous });
        }
        let (exceeded, others) = reply.split_at_checked(self.requests.len())?;
        if others.len() != self.entries.len() {
            return None;
        }
        let refusals = self.requests.iter().zip(exceeded).map(|(request, bits)| refusal(request, *bits)).collect();
        Some(Decoded::Done(BatchReply { previous, refusals, others: others.iter().map(|nano| usd(*nano)).collect() }))
    }
}

/// Returns the key that holds the number of the process's newest batch.
pub(super) fn number_key(prefix: &str, instance: &str) -> String {
    format!("{{{prefix}}}:batch:{instance}")
}

/// Returns the refusal of a request whose exceeded budgets are set in `bits`: the longest wait of them.
fn refusal(request: &ReserveRequest, bits: i64) -> Option<LimitExceeded> {
    let exceeded = request.budgets.iter().enumerate().filter(|(idx, _)| bits & (1 << idx) != 0);
    let retry_after = exceeded.map(|(_, budget)| budget.remaining).max()?;
    Some(LimitExceeded { limit: "budget", retry_after })
}

/// Returns whole nano-USD.
fn nano_usd(usd: f64) -> String {
    format!("{:.0}", (usd * 1e9).clamp(0.0, MAX_NANO_USD))
}

#[expect(clippy::cast_precision_loss, reason = "invariant: the script keeps amounts below 2^53")]
fn usd(nano: i64) -> f64 {
    nano as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::state::{MemoryStore, Spending, budget_period::BudgetPeriod};

    fn budget(per: Period, period: u64, limit: f64, remaining: u64) -> BudgetPeriod {
        let at = BudgetPeriod::at("key:k", per, limit, SystemTime::UNIX_EPOCH);
        BudgetPeriod { period, remaining: Duration::from_secs(remaining), ..at }
    }

    fn request(budgets: Vec<BudgetPeriod>, usd: f64) -> ReserveRequest {
        ReserveRequest { budgets, usd, reply: oneshot::channel().0 }
    }

    #[test]
    fn each_budget_is_encoded_once() {
        let memory = MemoryStore::default();
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * 10 + 400);
        memory.set_own("day/key:k", Spending { period: 10, usd: 0.1 + 0.2 });
        memory.set_own("day/user:u", Spending { period: 9, usd: 2.0 });
        let budgets = vec![budget(Period::Day, 10, 0.5, 86_000), budget(Period::Month, 300, 1e12, 200_000)];
        let dirty = ["day/key:k", "day/user:u", "day/gone"].map(str::to_owned).to_vec();
        let batch = Batch::new(vec![request(budgets, 0.125)], dirty, &memory, date);
        let keys = ["{p}:batch:w", "{p}:10:day/key:k", "{p}:300:month/key:k", "{p}:9:day/user:u"];
        assert_eq!(batch.keys("p", "w"), keys);
        let own = ["300000000", "172400", "0", "286400", "2000000000", "86400"];
        let reserve = ["125000000", "2", "2", "500000000", "3", "9007199254740992"];
        let arguments = batch.encode("w", 7);
        let expected = [&["w", "7"][..], &own, &reserve].concat();
        assert_eq!(arguments.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_a_reply_of_the_right_length_is_decoded() {
        let memory = MemoryStore::default();
        let budgets = || vec![budget(Period::Day, 10, 1.0, 60), budget(Period::Month, 300, 1.0, 900)];
        let requests = vec![request(budgets(), 0.5), request(budgets(), 0.5), request(budgets(), 0.5)];
        let batch = Batch::new(requests, Vec::new(), &memory, SystemTime::UNIX_EPOCH);
        let refused = |seconds| Some(LimitExceeded { limit: "budget", retry_after: Duration::from_secs(seconds) });
        let expected =
            BatchReply { previous: 6, refusals: vec![None, refused(60), refused(900)], others: vec![0.5, 0.0] };
        assert_eq!(batch.decode(8, &[6, 0, 1, 3, 500_000_000, 0]), Some(Decoded::Done(expected)));
        assert_eq!(batch.decode(8, &[8]), Some(Decoded::Stale { newest: 8 }));
        for wrong in [&[6, 0, 0, 0, 0][..], &[6, 0, 0, 0, 0, 0, 0], &[6], &[-1, 0, 0, 0, 0, 0], &[]] {
            assert_eq!(batch.decode(8, wrong), None);
        }
    }
}
