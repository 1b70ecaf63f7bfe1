//! The variants that get the same load in turns, and what was measured of each.

use std::time::Duration;

use anyhow::Result;

use crate::bench::load::{Load, Measured};
use crate::bench::usage;

/// Requests before the first round.
const WARM_UP: usize = 1_000;

/// The processor cores on which everything runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    /// One core for all, where what a variant adds is processor time.
    OneCore,
    /// All cores, each with idle-priority work, so that none falls asleep.
    BusyCores,
    /// All cores, which may fall asleep between two steps of a request.
    AllCores,
}

/// A number of connections, where everything runs, and what is measured there.
pub(super) struct Setting {
    pub(super) connections: usize,
    pub(super) placement: Placement,
    /// Whether the upstream behind the gateway speaks TLS.
    pub(super) is_tls: bool,
    pub(super) variants: Vec<Variant>,
}

/// One way in which the load is served, and what was measured of it.
pub(super) struct Variant {
    pub(super) name: &'static str,
    load: Load,
    /// The process whose processor time counts.
    process: Option<u32>,
    rounds: Vec<Round>,
}

struct Round {
    measured: Measured,
    processor: Duration,
}

impl Setting {
    /// Returns the variant of this name.
    pub(super) fn find(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// Measures one round of each variant; odd rounds go through them backwards, so that none always follows the same one.
    pub(super) fn measure(&mut self, round: usize) -> Result<()> {
        if round.is_multiple_of(2) {
            self.variants.iter_mut().try_for_each(Variant::measure)
        } else {
            self.variants.iter_mut().rev().try_for_each(Variant::measure)
        }
    }
}

impl Variant {
    pub(super) fn new(name: &'static str, load: Load, process: Option<u32>) -> Self {
        Self { name, load, process, rounds: Vec::new() }
    }

    /// Measures one round, after a load to warm up in the first.
    fn measure(&mut self) -> Result<()> {
        if self.rounds.is_empty() {
            Load { requests: WARM_UP, ..self.load.clone() }.once()?;
        }
        let before = self.process.map(usage::processor);
        let measured = self.load.once()?;
        let used = |(process, before)| usage::processor(process).saturating_sub(before);
        let processor = self.process.zip(before).map_or(Duration::ZERO, used);
        self.rounds.push(Round { measured, processor });
        Ok(())
    }

    /// Returns the median over the rounds of a percentile, in microseconds.
    pub(super) fn micros(&self, share: f64) -> u128 {
        let mut found: Vec<u128> =
            self.rounds.iter().map(|round| round.measured.percentile(share).as_micros()).collect();
        found.sort_unstable();
        found.get(found.len() / 2).copied().unwrap_or_default()
    }

    /// Returns the median latency of each round, in microseconds.
    pub(super) fn medians(&self) -> impl Iterator<Item = f64> {
        self.rounds.iter().map(|round| round.measured.percentile(0.5).as_secs_f64() * 1e6)
    }

    /// Returns the responses per second of each round.
    pub(super) fn throughputs(&self) -> impl Iterator<Item = f64> {
        self.rounds.iter().map(|round| round.measured.throughput())
    }

    /// Returns the responses per second, on average over the rounds.
    pub(super) fn throughput(&self) -> f64 {
        let count = f64::from(u32::try_from(self.rounds.len()).unwrap_or(1).max(1));
        self.throughputs().sum::<f64>() / count
    }

    /// Returns the responses for each second of the process' time on a core; none without a process.
    pub(super) fn per_core(&self) -> Option<f64> {
        let responses: u32 =
            self.rounds.iter().map(|round| u32::try_from(round.measured.count()).unwrap_or_default()).sum();
        let processor: Duration = self.rounds.iter().map(|round| round.processor).sum();
        (!processor.is_zero()).then(|| f64::from(responses) / processor.as_secs_f64())
    }
}
