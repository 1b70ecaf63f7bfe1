//! Calibration: how far expected rewards are from the truth, measured on judgements that training did not touch.
//!
//! Users are read by none, a few, more and all of their training groups. A hidden rating differs from what is expected by noise,
//! which does not depend on how much is known of the user, and by what the posterior leaves open. So the mean squares of the
//! differences rise along the posterior's variance, and their slope is the scale of that variance. The variance is that of a
//! posterior whose interactions tell so many times less than it says, as the line fits best: errors of one query are not
//! independent. What is left of the differences in the mean over everybody is an error of the (task, LLM) itself.

use tch::{Device, Kind, Tensor};

use super::reader::Reader;
use crate::gnn::batch::{Batch, Sample, Source};
use crate::gnn::network::{Network, update, values::EdgeValues};
use crate::gnn::sampler::Sampler;
use crate::gnn::train::chunks;

/// Numbers of groups by which users are read, besides all.
const HISTORIES: [usize; 3] = [0, 3, 10];
/// Least and largest scale.
const SCALES: [f64; 2] = [0.1, 10.0];
/// How many times less interactions may tell than the posterior says.
const TEMPERS: [f64; 9] = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0];

/// What the calibration found.
#[derive(Debug)]
pub struct Calibration {
    /// Scale of the posterior's variance.
    pub scale: f64,
    /// How many times less interactions tell than the posterior says.
    pub temper: f64,
    /// `[tasks, llms]`: variance of what is expected of everybody, in squared rewards.
    pub level: Tensor,
}

/// Sums over the hidden ratings of users read alike.
#[derive(Default)]
struct Sums {
    count: f64,
    square: f64,
    /// With each of the tempers.
    variance: [f64; TEMPERS.len()],
}

/// Mean squares along a variance.
struct Line {
    slope: f64,
    /// Sum of squared distances from the line.
    error: f64,
}

/// Sums of differences by (task, LLM), `[cells]` each.
struct CellSums {
    count: Tensor,
    sum: Tensor,
    square: Tensor,
}

impl Calibration {
    /// Measures a network.
    pub fn fit(network: Network<'_>, reader: &Reader, (sampler, source): (&Sampler, Source<'_>)) -> Self {
        let cells = network.params.mean.size().first().copied().unwrap_or(0);
        let zeros = || Tensor::zeros([cells], (Kind::Double, Device::Cpu));
        let mut by_cell = CellSums { count: zeros(), sum: zeros(), square: zeros() };
        let histories = HISTORIES.map(Some).into_iter().chain([None]);
        let sums: Vec<Sums> = histories
            .map(|history| {
                let whole = history.is_none().then_some(&mut by_cell);
                measure((network, reader), (sampler, source), history, whole)
            })
            .collect();
        let [unit, _] = network.start.scale;
        let lines = TEMPERS.into_iter().enumerate().map(|(at, temper)| (temper, Line::of(&sums, at)));
        let best = lines.min_by(|(_, a), (_, b)| a.error.total_cmp(&b.error));
        let (temper, scale) = best.map_or((1.0, 1.0), |(temper, line)| (temper, line.slope));
        Self { scale, temper, level: level(&by_cell, reader, network.start.llms) * (unit * unit) }
    }
}

fn measure(
    (network, reader): (Network<'_>, &Reader),
    (sampler, source): (&Sampler, Source<'_>),
    history: Option<usize>,
    mut by_cell: Option<&mut CellSums>,
) -> Sums {
    let mut sums = Sums::default();
    let sample = |(visible, hidden): (&Vec<usize>, &Vec<usize>)| Sample {
        visible: visible.iter().copied().take(history.unwrap_or(usize::MAX)).collect(),
        hidden: hidden.clone(),
    };
    let samples: Vec<Sample> = sampler.training.iter().zip(&sampler.validation).map(sample).collect();
    let axes = reader.parts.to_kind(Kind::Double).inverse().to_kind(Kind::Float); // [K, K]
    for chunk in chunks(&samples, source) {
        let batch = Batch::new(source, chunk);
        let values = EdgeValues::new(&network, &batch);
        let users = update::update(network.params, &values.read, &values.mean, &batch);
        let cpu = |tensor: &Tensor| tensor.to_device(Device::Cpu);
        let away = cpu(&(values.utility(&users.weights) + &users.leniency - &batch.value)).to_kind(Kind::Double);
        let left = reader.left(&cpu(&users.covariance)).unsqueeze(2);
        let values = cpu(&values.predict).matmul(&axes).square();
        let mask = cpu(&batch.hidden.rating).to_kind(Kind::Double);
        let total = |rows: &Tensor| (rows * &mask).sum(Kind::Double).double_value(&[]);
        sums.count += mask.sum(Kind::Double).double_value(&[]);
        sums.square += total(&away.square());
        for (sum, temper) in sums.variance.iter_mut().zip(TEMPERS) {
            let variance = values.matmul(&reader.tempered(&left, temper)).squeeze_dim(2);
            *sum += total(&variance.to_kind(Kind::Double));
        }
        if let Some(cells) = by_cell.as_deref_mut() {
            cells.add(&cpu(&batch.cell), &(away * &mask), &mask);
        }
    }
    sums
}

impl Line {
    /// Fits the line with one of the tempers; a slope out of range is cut.
    fn of(all: &[Sums], temper: usize) -> Self {
        let [least, most] = SCALES;
        let of = |s: &Sums| Some([s.variance.get(temper)? / s.count, s.square / s.count]);
        let points: Vec<[f64; 2]> = all.iter().filter(|s| s.count > 0.0).filter_map(of).collect();
        let count = points.len().max(1) as f64;
        let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), [a, b]| (x + a / count, y + b / count));
        let (up, across) =
            points.iter().fold((0.0, 0.0), |(up, across), [a, b]| (up + (a - x) * (b - y), across + (a - x).powi(2)));
        let slope = if across > 1e-12 { (up / across).clamp(least, most) } else { 1.0 };
        let error = points.iter().map(|[a, b]| (b - y - slope * (a - x)).powi(2)).sum();
        Self { slope, error }
    }
}

impl CellSums {
    fn add(&mut self, cell: &Tensor, away: &Tensor, mask: &Tensor) {
        let add = |sums: &Tensor, rows: &Tensor| sums.index_add(0, cell, &rows.reshape([-1]));
        (self.count, self.sum, self.square) =
            (add(&self.count, mask), add(&self.sum, away), add(&self.square, &away.square()));
    }
}

/// Returns the variance of each (task, LLM) in units `[tasks, llms]`: that of the means that ratings contradict; where nobody rated,
/// the variance of the LLM's own means besides.
fn level(cells: &CellSums, reader: &Reader, llms: i64) -> Tensor {
    let CellSums { count, sum, square } = cells;
    let some = count.clamp_min(1.0);
    let mean = sum / &some;
    let noise = (square / &some - mean.square()).clamp_min(0.0) / &some;
    let rated = count.gt(1.5).to_kind(Kind::Double);
    let all = rated.sum(Kind::Double).clamp_min(1.0);
    let everywhere = (((mean.square() - noise) * &rated).sum(Kind::Double) / all).clamp_min(0.0);
    // Rows of tasks, without the unknown one and the features of lengths.
    let tasks = count.size().first().copied().unwrap_or(0) / llms.max(1);
    let means = reader.table.select(2, reader.width()).narrow(1, 0, tasks).to_kind(Kind::Double); // [L, T]
    let rated = rated.view([tasks, llms]).tr(); // [L, T]
    let of = rated.sum_dim_intlist(1, true, Kind::Double).clamp_min(1.0);
    let middle = (&means * &rated).sum_dim_intlist(1, true, Kind::Double) / &of;
    let spread = ((&means - middle).square() * &rated).sum_dim_intlist(1, true, Kind::Double) / of;
    let unrated: Tensor = (1.0 - rated) * spread;
    (unrated + everywhere).tr().contiguous().to_kind(Kind::Float)
}
