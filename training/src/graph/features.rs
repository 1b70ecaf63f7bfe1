//! Features of LLM and task nodes: description embeddings, prices, families.

use ndarray::{Array2, Axis, concatenate};

use crate::data::{Dataset, LlmInfo};

/// Node features and LLM–LLM edges.
#[derive(Debug, Clone)]
pub struct Features {
    /// `[llms, features]`: centred description embedding, then prices.
    pub llm: Array2<f32>,
    /// `[tasks, features]`: centred description embedding.
    pub task: Array2<f32>,
    /// `[llms, llms]`: row-normalised family edges, zero rows for LLMs alone in their family.
    pub family: Array2<f32>,
    /// Logarithm of the mean price per million tokens; public metadata that orients the preference axis.
    pub log_price: Vec<f32>,
}

impl Features {
    /// Reads the features off the metadata.
    pub fn build(dataset: &Dataset) -> Self {
        let log_price: Vec<f32> = dataset.llms.iter().map(log_price).collect();
        let columns = [log_price.clone(), dataset.llms.iter().map(|llm| (1.0 + llm.input_price).ln()).collect()];
        let prices = standardised(&columns, dataset.llms.len());
        let described = centred(&dataset.llm_embeddings, dataset.llms.len());
        let llm = concatenate(Axis(1), &[described.view(), prices.view()]).unwrap_or(prices);
        let task = centred(&dataset.task_embeddings, dataset.tasks.len());
        Self { llm, task, family: family(&dataset.llms), log_price }
    }
}

fn log_price(llm: &LlmInfo) -> f32 {
    // One part in 10,000 keeps a free model's logarithm finite.
    (0.5 * (llm.input_price + llm.output_price) + 1e-4).ln()
}

/// Returns the rows minus their mean, scaled so that an entry of a unit vector has a variance near 1.
fn centred(rows: &Array2<f32>, count: usize) -> Array2<f32> {
    let Some(mean) = rows.mean_axis(Axis(0)).filter(|_| rows.nrows() == count && rows.ncols() > 0) else {
        // A network needs at least one column.
        return Array2::zeros((count, 1));
    };
    let scale = (rows.ncols() as f32).sqrt();
    (rows - &mean) * scale
}

fn standardised(columns: &[Vec<f32>; 2], count: usize) -> Array2<f32> {
    let mut out = Array2::zeros((count, columns.len()));
    for (mut target, column) in out.columns_mut().into_iter().zip(columns) {
        let mean = column.iter().sum::<f32>() / count.max(1) as f32;
        let variance = column.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / count.max(1) as f32;
        let scale = if variance > 1e-12 { variance.sqrt().recip() } else { 0.0 };
        target.iter_mut().zip(column).for_each(|(t, x)| *t = (x - mean) * scale);
    }
    out
}

fn family(llms: &[LlmInfo]) -> Array2<f32> {
    let related = |a: usize, b: usize| {
        let pair = llms.get(a).zip(llms.get(b));
        a != b && pair.is_some_and(|(a, b)| a.family.is_some() && a.family == b.family)
    };
    let mut edges = Array2::from_shape_fn((llms.len(), llms.len()), |(a, b)| if related(a, b) { 1.0_f32 } else { 0.0 });
    for mut row in edges.rows_mut() {
        let degree: f32 = row.sum();
        row.mapv_inplace(|x| if degree > 0.0 { x / degree } else { 0.0 });
    }
    edges
}
