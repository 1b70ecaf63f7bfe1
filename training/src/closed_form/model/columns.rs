//! The same model over other LLMs: columns kept, moved or left out, and new ones beside them.
//!
//! A new LLM starts as the mean of the known ones, by task, by text and in the loadings; the estimated difference is added.
//! The text adds nothing specific to it, and its ratings say nothing of users until the adapter is fitted anew.

use anyhow::{Context, Result, ensure};
use personaroute_bundle::catalog::Llm;
use tch::{Device, Kind, Tensor};

use super::ClosedForm;
use super::adapter::Adapter;
use super::factor::Loadings;
use super::feature_table::{FeatureTable, NgramTable};
use super::preference::PreferenceDirection;
use super::text::TextScorer;
use crate::model::facts::Facts;
use crate::model::tensors::{extent, single};

/// Where a column comes from.
#[derive(Debug, Clone)]
pub enum Column {
    /// Of this router.
    Known(usize),
    /// An LLM that training has not seen.
    New(NewColumn),
}

/// An LLM that training has not seen, by task.
#[derive(Debug, Clone, PartialEq)]
pub struct NewColumn {
    /// Description and prices.
    pub llm: Llm,
    /// Effect coefficient minus the mean of the known LLMs.
    pub effect: Vec<f64>,
    /// Cost coefficient minus the mean of the known LLMs.
    pub cost: Vec<f64>,
    /// Standard deviation of the expected reward.
    pub deviation: Vec<f64>,
}

/// How columns of the new router are picked from those of the old one and one that stands for all new ones.
struct Order {
    /// Index of the old column, or the number of old columns.
    from: Vec<i64>,
    known: i64,
}

impl ClosedForm {
    /// Returns the router over these columns, in their order.
    pub fn with_columns(&self, columns: &[Column]) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let known = self.facts.llms.len();
        let tasks = self.facts.tasks.len();
        let mut llms = Vec::new();
        let mut from = Vec::new();
        for column in columns {
            let (llm, place) = match column {
                Column::Known(idx) => (self.facts.llms.get(*idx).with_context(|| format!("no LLM {idx}"))?, *idx),
                Column::New(new) => {
                    let lengths = [&new.effect, &new.cost, &new.deviation].map(Vec::len);
                    ensure!(lengths == [tasks; 3], "{}: {lengths:?} tasks instead of {tasks}", new.llm.id);
                    (&new.llm, known)
                }
            };
            llms.push(llm.clone());
            from.push(place as i64);
        }
        ensure!(!llms.is_empty(), "a router needs at least one LLM");
        let order = Order { from, known: known as i64 };
        let values = self.values.view([tasks as i64, known as i64, self.weight_count()]);
        let mean = values.mean_dim(1, true, Kind::Float);
        let values = order.pick(&values, 1, &mean) + differences(columns, tasks, self.weight_count());
        let deviation = order.pick_zero(&self.deviation, 1) + deviations(columns, tasks);
        let PreferenceDirection { effect, cost, .. } = &self.preference;
        Ok(Self {
            facts: Facts { llms, ..self.facts.clone() },
            adapter: order.adapter(&self.adapter),
            weights: (self.weights.0.shallow_clone(), self.weights.1.shallow_clone()),
            preference: PreferenceDirection::beside(
                effect.shallow_clone(),
                cost.shallow_clone(),
                &values,
                self.factors(),
            ),
            values: values.flatten(1, 2),
            text: order.text(&self.text),
            deviation,
            users: self.users.shallow_clone(),
        })
    }
}

impl Order {
    /// Picks along an axis; new columns are `fill`.
    fn pick(&self, table: &Tensor, axis: i64, fill: &Tensor) -> Tensor {
        Tensor::cat(&[table, fill], axis).index_select(axis, &Tensor::from_slice(&self.from))
    }

    /// Picks along an axis; new columns are zero.
    fn pick_zero(&self, table: &Tensor, axis: i64) -> Tensor {
        self.pick(table, axis, &table.narrow(axis, 0, 1).zeros_like())
    }

    /// Ratings of a new LLM change nothing yet.
    fn adapter(&self, adapter: &Adapter) -> Adapter {
        let grid = adapter.table.size().last().copied().unwrap_or(1);
        let table = adapter.table.view([-1, self.known, adapter.bins, grid]);
        Adapter {
            table: self.pick_zero(&table, 1).reshape([-1, grid]),
            range: adapter.range,
            bins: adapter.bins,
            prior: adapter.prior.shallow_clone(),
            embedding: adapter.embedding.shallow_clone(),
            loadings: adapter.loadings.as_ref().map(|Loadings { table }| Loadings {
                table: self.pick(table, 0, &table.mean_dim(0, true, Kind::Float)),
            }),
        }
    }

    fn text(&self, text: &TextScorer) -> TextScorer {
        let [tasks, difficulty, effect, cost] = text.widths();
        let blocks = |begin: i64, width: i64| {
            let block = |number: i64| {
                self.from.iter().map(move |&from| match from == self.known {
                    true => None,
                    false => Some(begin + number * self.known + from),
                })
            };
            (0..width / self.known.max(1)).flat_map(block).collect::<Vec<_>>()
        };
        let mut columns: Vec<Option<i64>> = (0..tasks + difficulty).map(Some).collect();
        columns.extend(blocks(tasks + difficulty, effect));
        columns.extend(blocks(tasks + difficulty + effect, cost));
        let features = match &text.features {
            FeatureTable::Embedding(table) => FeatureTable::Embedding(along(table, &columns)),
            FeatureTable::Lexical(bag) => FeatureTable::Lexical(NgramTable {
                table: along(&bag.table, &columns),
                row: bag.row.shallow_clone(),
                column: along(&bag.column, &columns),
                square: bag.square.shallow_clone(),
                shape: along(&bag.shape, &columns),
                shape_row: bag.shape_row.shallow_clone(),
            }),
        };
        let most = text.slope_limit.amax([1].as_slice(), true);
        TextScorer {
            features,
            task_bias: text.task_bias.shallow_clone(),
            task_map: text.task_map.shallow_clone(),
            slopes: self.pick(&text.slopes, 1, &text.slopes.mean_dim(1, true, Kind::Float)),
            slope_limit: self.pick(&text.slope_limit, 1, &most),
            blocks: text.blocks.each_ref().map(Tensor::shallow_clone),
            cost_share: text.cost_share,
            task_shares: text.task_shares.shallow_clone(),
            gate: text.gate,
        }
    }
}

/// Picks columns along the last axis; those without a source are zero.
fn along(table: &Tensor, columns: &[Option<i64>]) -> Tensor {
    let width = table.size().last().copied().unwrap_or(0);
    let wider = table.constant_pad_nd([0, 1]);
    let from: Vec<i64> = columns.iter().map(|column| column.unwrap_or(width)).collect();
    wider.index_select(-1, &Tensor::from_slice(&from))
}

/// Returns `[tasks, llms, weights]`: what is added to the coefficients of new LLMs.
fn differences(columns: &[Column], tasks: usize, weights: i64) -> Tensor {
    let mut flat = Vec::new();
    for task in 0..tasks {
        for column in columns {
            let coefficients = match column {
                Column::Known(_) => [0.0; 2],
                Column::New(new) => [at(&new.effect, task), at(&new.cost, task)],
            };
            flat.extend(coefficients.into_iter().chain(std::iter::repeat(0.0)).take(extent(weights)));
        }
    }
    Tensor::from_slice(&flat).view([tasks as i64, columns.len() as i64, weights])
}

/// Returns `[tasks, llms]`: deviations of new LLMs.
fn deviations(columns: &[Column], tasks: usize) -> Tensor {
    let of = |task: usize| {
        columns.iter().map(move |column| match column {
            Column::Known(_) => 0.0,
            Column::New(new) => at(&new.deviation, task),
        })
    };
    let flat: Vec<f32> = (0..tasks).flat_map(of).collect();
    let zeros = Tensor::zeros([tasks as i64, columns.len() as i64], (Kind::Float, Device::Cpu));
    if flat.is_empty() { zeros } else { Tensor::from_slice(&flat).view_as(&zeros) }
}

fn at(values: &[f64], task: usize) -> f32 {
    single(values.get(task).copied().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Setting;
    use crate::export;
    use crate::fixture::Fixture;
    use crate::model::TaskInput;
    use crate::model::tensors::to_vec;
    use crate::train::Trained;

    fn model() -> (tempfile::TempDir, Fixture, ClosedForm) {
        let fixture = Fixture::new();
        let dir = tempfile::tempdir().unwrap();
        let model = fixture.train(dir.path(), Setting::Rewards, false, None).unwrap();
        (dir, fixture, model)
    }

    fn new(model: &ClosedForm, effect: f64) -> Column {
        let llm = Llm { id: "new".to_owned(), ..model.facts.llms[0].clone() };
        let tasks = model.facts.tasks.len();
        Column::New(NewColumn {
            llm,
            effect: vec![effect; tasks],
            cost: vec![-0.1; tasks],
            deviation: vec![0.3; tasks],
        })
    }

    #[test]
    fn known_llms_score_as_before_wherever_they_stand() {
        let (_dir, fixture, model) = model();
        let order = [3, 1, 0, 2];
        let mut columns: Vec<Column> = order.iter().map(|&llm| Column::Known(llm)).collect();
        columns.insert(1, new(&model, 0.2));
        let whole = model.with_columns(&columns).unwrap();
        let queries = &fixture.split.test;
        let before = model.query_values(&fixture.dataset, queries, TaskInput::Declared).values;
        let after = whole.query_values(&fixture.dataset, queries, TaskInput::Declared).values;
        for (place, &llm) in [0, 2, 3, 4].iter().zip(&order) {
            let gap = (before.select(1, llm as i64) - after.select(1, *place)).abs().max();
            assert!(gap.double_value(&[]) < 1e-5);
        }
        // The new one is the others' mean plus its difference, whatever the text.
        let own = after.select(1, 1) - before.mean_dim(1, false, Kind::Float);
        let ends = to_vec(&own.mean_dim(0, false, Kind::Float));
        assert!((ends[0] - 0.2).abs() < 0.02 && (ends[1] + 0.1).abs() < 0.02, "{ends:?}");
        let ids: Vec<&str> = whole.facts.llms.iter().map(|llm| llm.id.as_str()).collect();
        assert_eq!(ids, ["llm-3", "new", "llm-1", "llm-0", "llm-2"]);
        assert!(to_vec(&whole.deviation.select(1, 1)).iter().all(|x| (x - 0.3).abs() < 1e-6));
    }

    #[test]
    fn a_router_with_a_new_llm_is_exported_exactly() {
        let (dir, _, model) = model();
        let mut columns: Vec<Column> = (0..model.facts.llms.len()).map(Column::Known).collect();
        columns.push(new(&model, -0.2));
        let whole = model.with_columns(&columns).unwrap();
        let bundle =
            export::write(&Trained::ClosedForm(whole), &dir.path().join("bundle"), &export::ExportOptions::default())
                .unwrap();
        assert_eq!(bundle.catalog.llms.len(), 5);
    }

    #[test]
    fn columns_that_do_not_fit_are_refused() {
        let (_dir, _, model) = model();
        let error = |columns: &[Column]| model.with_columns(columns).unwrap_err().to_string();
        assert_eq!(error(&[Column::Known(7)]), "no LLM 7");
        assert!(error(&[]).contains("at least one LLM"));
        let Column::New(mut short) = new(&model, 0.0) else { panic!("new") };
        short.effect.pop();
        assert!(error(&[Column::New(short)]).starts_with("new: [2, 3, 3] tasks"));
    }
}
