//! What training starts from: scales, means, and, where closed-form estimates are the start, their columns.

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::constants::LEAST_NOISE;
use super::lengths::Lengths;
use crate::closed_form;
use crate::closed_form::components::Components;
use crate::closed_form::model::text::TextScorer;
use crate::closed_form::text::TextFit;
use crate::data::Dataset;
use crate::graph::evidence::{Evidence, Judgement};
use crate::graph::query::QueryInputs;
use crate::model::fit::FitInput;
use crate::model::hparams::Init;
use crate::model::tensors::{extent, from2, single};

/// Queries that are read at once.
const CHUNK: usize = 1024;
/// Logarithm of the prior's precision of learned weights, of the leniency and of the side.
const PRECISION: [f64; 3] = [1.0, 0.0, 0.0];
/// Logarithm of the prior's precision of the weight that is 1 for everybody.
const FIXED_PRECISION: f64 = 4.6;
/// Logarithms of the precisions of differences and of means of ratings, without closed-form estimates.
const NOISE: [f64; 2] = [0.0, -1.0];
/// Pseudo-count with which means of (task, LLM) lean on the mean of everything.
const MEAN_PRIOR: f64 = 1.0;
/// Least share of wins of which a logarithm is taken.
const LEAST_SHARE: f64 = 3e-3;

/// Tables that training does not change.
#[derive(Debug)]
pub struct Start {
    /// Reward of one unit, and the reward at zero.
    pub scale: [f64; 2],
    /// Number of LLMs.
    pub llms: i64,
    /// `[tasks · llms]`: what everybody thinks, in units.
    pub mean: Tensor,
    /// Columns of closed-form estimates.
    pub ends: Option<Ends>,
    /// `[llms, description]`: description embedding and prices.
    pub descriptions: Tensor,
    /// `[llms, llms]`: family edges; a row adds up to 1, or to 0 for an LLM without family.
    pub families: Tensor,
    /// Lengths of queries.
    pub lengths: Lengths,
    /// Reads queries: their task and, with closed-form estimates, what text adds to these.
    pub text: TextScorer,
    /// How strongly text speaks about single LLMs, 0 to 1.
    pub strength: f64,
}

/// Columns from closed-form estimates, in units: the effect coefficient above the cost coefficient, and the cost coefficient.
///
/// The first weighs a user's preference score, the second 1.
#[derive(Debug)]
pub struct Ends {
    /// `[tasks, llms, 2]`: effect and cost coefficients of pairs, in rewards.
    pub cells: Tensor,
    /// `[queries · llms, 2]`: as all judgements of the answer tell; of a query nobody judged, as its text does.
    pub judged: Tensor,
    /// `[queries · llms, 2]`: as the text tells, fitted without the query.
    pub predicted: Tensor,
    /// Mean and variance of the preference scores.
    pub scores: [f64; 2],
    /// Standard deviation of what the estimates leave open, in units.
    pub noise: f64,
    /// Variances, in units, of what a judgement of an answer that nobody else judged has beside this noise: of differences between
    /// the answers to a query, and of the query's mean. They are how far answers are from their (task, LLM).
    pub unread: [f64; 2],
}

impl Start {
    /// Estimates the start on interactions without those that validate; where nobody rated anything, closed-form estimates
    /// do not exist.
    pub fn new(input: &mut FitInput<'_>, evidence: &Evidence) -> Result<Self> {
        let (components, fitted) = closed_form::parts(input)?;
        let dataset = input.dataset;
        let means = Means::new(dataset, evidence);
        let with_ends = input.hparams.init == Init::ClosedForm && means.ratings > 0.0;
        let ends = with_ends.then(|| Ends::new(input, (&components, &fitted), means.unit));
        let features = i64::try_from(input.hparams.edge_dim).context("edge_dim")?;
        let text = if with_ends { fitted.text } else { fitted.text.tasks_only() };
        let start = Self {
            scale: [means.unit, if with_ends { 0.0 } else { means.zero }],
            llms: dataset.llms.len() as i64,
            mean: if with_ends { means.table.zeros_like() } else { means.table },
            ends,
            descriptions: descriptions(dataset),
            families: families(dataset),
            lengths: Lengths::fit(dataset, input.split, &input.hparams.text, features),
            text,
            strength: fitted.strength,
        };
        Ok(start.moved_to(input.device))
    }

    /// Returns how many of a user's weights weigh given columns.
    pub fn given(&self) -> i64 {
        if self.ends.is_some() { 2 } else { 0 }
    }

    /// Returns the prior of a user's weights before training: means `[weights]` and logarithms of precisions `[weights + 2]`.
    pub fn prior(&self, weights: i64) -> (Tensor, Tensor) {
        let [learned, leniency, side] = PRECISION;
        let mut means = vec![0.0_f32; extent(weights)];
        let mut precisions = vec![single(learned); means.len()];
        if let Some(ends) = &self.ends {
            let [mean, variance] = ends.scores;
            let given = [(mean, -variance.max(1e-4).ln()), (1.0, FIXED_PRECISION)];
            for ((own, precision), (value, known)) in means.iter_mut().zip(&mut precisions).zip(given) {
                (*own, *precision) = (single(value), single(known));
            }
        }
        precisions.extend([single(leniency), single(side)]);
        (Tensor::from_slice(&means), Tensor::from_slice(&precisions))
    }

    /// Returns the logarithms of the noise's precisions before training, `[4]`.
    pub fn noise(&self) -> Tensor {
        let [difference, mean] = match &self.ends {
            None => NOISE,
            Some(ends) => [-2.0 * ends.noise.ln(), -2.0 * ends.noise.ln() + NOISE[1]],
        };
        Tensor::from_slice(&[single(difference), single(mean), 0.0, 0.0])
    }

    fn moved_to(self, device: Device) -> Self {
        let there = |tensor: &Tensor| tensor.to_device(device);
        let Lengths { of_queries, table } = self.lengths;
        Self {
            mean: there(&self.mean),
            ends: self.ends.map(|ends| Ends { judged: there(&ends.judged), predicted: there(&ends.predicted), ..ends }),
            descriptions: there(&self.descriptions),
            families: there(&self.families),
            lengths: Lengths { of_queries: there(&of_queries), table },
            ..self
        }
    }
}

impl Ends {
    fn new(input: &FitInput<'_>, (components, fitted): (&Components, &TextFit), unit: f64) -> Self {
        let dataset = input.dataset;
        let cells = Tensor::stack(&[&components.effect_means, &components.cost_means], 2).to_kind(Kind::Float); // [T, L, 2]
        let tasks: Vec<i64> = dataset.queries.iter().map(|query| i64::from(query.task)).collect();
        let by_task = cells.index_select(0, &Tensor::from_slice(&tasks)); // [Q, L, 2]
        let added = predicted(input, fitted, components);
        let text = by_task + added;
        let rows: Vec<i64> = components.queries.iter().map(|&query| i64::from(query)).collect();
        let known = Tensor::stack(&[&components.effect, &components.cost], 2).to_kind(Kind::Float); // [q, L, 2]
        let judged = text.index_copy(0, &Tensor::from_slice(&rows), &known);
        let columns = |table: &Tensor| {
            let (high, low) = (table.select(2, 0), table.select(2, 1));
            (Tensor::stack(&[&(high - &low), &low], 2) / unit).view([-1, 2]) // [Q · L, 2]
        };
        let positions = &components.scores;
        let scores = [positions.mean(Kind::Double), positions.var(false)].map(|x| x.double_value(&[]));
        let noise = (components.noise / unit).max(LEAST_NOISE);
        let tasks = Tensor::from_slice(&tasks).index_select(0, &Tensor::from_slice(&rows));
        let away = (known - cells.index_select(0, &tasks)) / unit; // [q, L, 2]
        Self {
            cells,
            judged: columns(&judged),
            predicted: columns(&text),
            unread: unread(&away, scores),
            scores,
            noise,
        }
    }
}

/// Returns the variances of what answers `[queries, llms, 2]` have beside their (task, LLM), for users of these scores: inside
/// queries, and of queries' means.
fn unread(away: &Tensor, [mean, variance]: [f64; 2]) -> [f64; 2] {
    let (high, low) = (away.select(2, 0), away.select(2, 1));
    let span = &high - &low;
    let reward = &span * mean + &low;
    let middle = |table: &Tensor| table.mean_dim(1, true, Kind::Float);
    let square = |table: Tensor| table.square().mean(Kind::Double).double_value(&[]);
    let inside = square(&reward - middle(&reward)) + variance * square(&span - middle(&span));
    let between = square(middle(&reward)) + variance * square(middle(&span));
    [inside, between].map(|x| if x.is_finite() { x } else { 0.0 })
}

/// Returns what text adds to the effect and cost coefficients of every query of the data, `[queries, llms, 2]`; for queries the
/// text model was fitted on, as if it had been fitted without them.
fn predicted(input: &FitInput<'_>, fitted: &TextFit, components: &Components) -> Tensor {
    let _guard = tch::no_grad_guard();
    let dataset = input.dataset;
    let (tasks, llms) = (dataset.tasks.len() as i64, dataset.llms.len() as i64);
    let nothing = Tensor::zeros([tasks, llms * 2], (Kind::Float, Device::Cpu));
    let all: Vec<u32> = (0_u32..).take(dataset.queries.len()).collect();
    let mut parts = Vec::new();
    for chunk in all.chunks(CHUNK) {
        let inputs = QueryInputs::build(&input.hparams.text, dataset, chunk);
        let places: Vec<usize> = (0..chunk.len()).collect();
        let reading = fitted.text.forward(&inputs.batch(&places));
        let task = |query: &u32| dataset.queries.get(*query as usize).map_or(0, |query| i64::from(query.task));
        let told: Vec<i64> = chunk.iter().map(task).collect();
        let told = Tensor::from_slice(&told).one_hot(tasks).to_kind(Kind::Float);
        parts.push(fitted.text.values(&reading, &told, &nothing));
    }
    let table = Tensor::cat(&parts, 0);
    let Some((rows, [high, low])) = &fitted.left_out else { return table };
    let query: Vec<i64> = components.queries.iter().map(|&query| i64::from(query)).collect();
    let query = Tensor::from_slice(&query).index_select(0, rows);
    table.index_copy(0, &query, &Tensor::stack(&[high, low], 2).to_kind(Kind::Float))
}

/// Means of everybody's judgements.
struct Means {
    /// `[tasks · llms]`: in units above zero; for choices and votes alone, logarithms of shares of wins.
    table: Tensor,
    unit: f64,
    zero: f64,
    /// Number of ratings.
    ratings: f64,
}

impl Means {
    fn new(dataset: &Dataset, evidence: &Evidence) -> Self {
        let cells = dataset.tasks.len() * dataset.llms.len();
        let mut sums = [vec![(0.0, 0.0, 0.0); cells], vec![(0.0, 0.0, 0.0); cells]];
        for (group, (&query, judgement)) in evidence.query.iter().zip(&evidence.judgement).enumerate() {
            let task = dataset.queries.get(query as usize).map_or(0, |query| query.task as usize);
            let [ratings, wins] = &mut sums;
            let column = if *judgement == Judgement::Rating { ratings } else { wins };
            for edge in evidence.edges_of(group) {
                if let Some((sum, square, count)) = column.get_mut(task * dataset.llms.len() + usize::from(edge.llm)) {
                    let value = f64::from(edge.value);
                    (*sum, *square, *count) = (*sum + value, *square + value * value, *count + 1.0);
                }
            }
        }
        let [ratings, wins] = sums;
        let total: f64 = ratings.iter().map(|cell| cell.2).sum();
        if total > 0.0 {
            return Self::of_ratings(&ratings, total);
        }
        let share = |&(sum, _, count): &(f64, f64, f64)| single(((sum + 0.5) / (count + 1.0)).max(LEAST_SHARE).ln());
        let table: Vec<f32> = wins.iter().map(share).collect();
        Self { table: Tensor::from_slice(&table), unit: 1.0, zero: 0.0, ratings: 0.0 }
    }

    fn of_ratings(cells: &[(f64, f64, f64)], total: f64) -> Self {
        let zero = cells.iter().map(|cell| cell.0).sum::<f64>() / total;
        let mean = |&(sum, _, count): &(f64, f64, f64)| (sum + zero * MEAN_PRIOR) / (count + MEAN_PRIOR);
        let rest = |cell: &(f64, f64, f64)| cell.1 - 2.0 * mean(cell) * cell.0 + mean(cell).powi(2) * cell.2;
        let variance = cells.iter().map(rest).sum::<f64>() / total;
        let unit = variance.max(1e-12).sqrt();
        let table: Vec<f32> = cells.iter().map(|cell| single((mean(cell) - zero) / unit)).collect();
        Self { table: Tensor::from_slice(&table), unit, zero, ratings: total }
    }
}

/// Returns description embeddings with the logarithms of both prices, `[llms, description]`, each column centred.
fn descriptions(dataset: &Dataset) -> Tensor {
    let prices: Vec<f32> =
        dataset.llms.iter().flat_map(|llm| [llm.input_price.ln_1p(), llm.output_price.ln_1p()]).collect();
    let prices = Tensor::from_slice(&prices).view([-1, 2]);
    let features = match dataset.llm_embeddings.ncols() {
        0 => prices,
        _ => Tensor::cat(&[from2(&dataset.llm_embeddings, Device::Cpu), prices], 1),
    };
    let mean = features.mean_dim(0, true, Kind::Float);
    features - mean
}

/// Returns family edges `[llms, llms]`: to every member of the LLM's family, itself included, in equal shares.
fn families(dataset: &Dataset) -> Tensor {
    let family = |llm: usize| dataset.llms.get(llm).and_then(|llm| llm.family.as_deref());
    let llms = dataset.llms.len();
    let mut edges = Vec::with_capacity(llms * llms);
    for from in 0..llms {
        let members: Vec<bool> = (0..llms).map(|to| family(from).is_some() && family(from) == family(to)).collect();
        let count = members.iter().filter(|&&member| member).count().max(1) as f32;
        edges.extend(members.iter().map(|&member| if member { 1.0 / count } else { 0.0 }));
    }
    Tensor::from_slice(&edges).view([llms as i64, llms as i64])
}
