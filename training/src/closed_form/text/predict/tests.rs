//! Facts about the text model, on components made here.

use super::*;
use crate::model::rng::Rng;
use crate::model::tensors::single;

const QUERIES: i64 = 300;
const LLMS: i64 = 3;

/// Two features per query; the test decides what they say.
struct Made {
    x: Vec<[f64; 2]>,
    components: Components,
}

/// One task; effects are `mean + signal(features) + noise`, costs depend on the LLM and the features.
fn made(signal: impl Fn([f64; 2], i64) -> f64, cost: impl Fn([f64; 2], i64) -> f64) -> Made {
    let mut rng = Rng::new(9, &[]);
    let x: Vec<[f64; 2]> = (0..QUERIES).map(|_| [rng.normal(), rng.normal()]).collect();
    let mean_effect = [0.3, 0.5, 0.6];
    let (mut effects, mut costs) = (Vec::new(), Vec::new());
    for &features in &x {
        for llm in 0..LLMS {
            effects.push(mean_effect[usize::try_from(llm).unwrap()] + signal(features, llm) + 0.3 * rng.normal());
            costs.push(-0.2 * llm as f64 + cost(features, llm));
        }
    }
    let rows = |flat: &[f64]| Tensor::from_slice(flat).view([QUERIES, LLMS]);
    let (effects, costs) = (rows(&effects), rows(&costs));
    let mean = |rows: &Tensor| rows.mean_dim(0, true, Kind::Double);
    let components = Components {
        queries: (0..300).collect(),
        tasks: Tensor::zeros([QUERIES], (Kind::Int64, Device::Cpu)),
        scores: Tensor::from_slice(&[0.2, 0.5, 0.9]),
        weight: effects.ones_like(),
        effect_means: mean(&effects),
        cost_means: mean(&costs),
        effect: effects,
        cost: costs,
        noise: 0.0,
        factors: None,
    };
    Made { x, components }
}

impl Made {
    fn fit(&self, without: &[Part]) -> TextModel {
        let flat: Vec<f32> = self.x.iter().flatten().map(|&x| single(x)).collect();
        let x = Tensor::from_slice(&flat).view([QUERIES, 2]);
        let rows = Tensor::arange(QUERIES, (Kind::Int64, Device::Cpu));
        TextModel::fit(&self.components, &rows, &x.matmul(&x.tr()), without)
    }

    /// Mean squared error of the predicted differences between LLMs' effects, as a share of their variance.
    fn unexplained(&self, found: &TextModel) -> f64 {
        let truth = centred(&self.components.effect_residual().to_kind(Kind::Float));
        let error = &truth - centred(&found.left_out[0]);
        (error.square().sum(Kind::Double) / truth.square().sum(Kind::Double)).double_value(&[])
    }
}

#[test]
fn text_that_is_noise_gets_no_weight() {
    let found = made(|_, _| 0.0, |_, _| 0.0).fit(&[]);
    assert!(found.strength[0] < 0.2 && found.strength[1] < 1e-9, "{:?}", found.strength);
    assert!(found.slopes.abs().max().double_value(&[]) < 0.5);
    assert!(found.left_out[0].square().mean(Kind::Double).double_value(&[]) < 0.005);
}

#[test]
fn text_that_predicts_single_llms_gets_nearly_full_weight() {
    let says = |x: [f64; 2], llm: i64| match llm {
        1 => 0.4 * x[0],
        2 => -0.4 * x[0],
        _ => 0.0,
    };
    let world = made(says, |_, _| 0.0);
    let found = world.fit(&[]);
    assert!(found.strength[0] > 0.8, "{:?}", found.strength);
    let left = world.unexplained(&found);
    assert!(left < 0.75, "{left}");
    assert!(world.unexplained(&world.fit(&[Part::Llms])) > left + 0.1);
}

#[test]
fn difficulty_changes_llms_by_slopes_of_their_own() {
    // Difficulty does not change the last LLM.
    let world = made(|x, llm| if llm == 2 { 0.0 } else { 0.5 * x[1] }, |_, _| 0.0);
    let found = world.fit(&[Part::Llms]);
    let slope = |llm: i64| found.slopes.double_value(&[0, llm]);
    assert!(slope(2) < slope(0) - 0.2 && slope(2) < slope(1) - 0.2, "{}", found.slopes);
    let none = world.fit(&[Part::Llms, Part::Slopes]);
    assert!(none.slopes.abs().max().double_value(&[]) < 1e-9);
    assert!(world.unexplained(&found) < world.unexplained(&none));
}

#[test]
fn costs_are_predicted_where_they_follow_from_text() {
    let found = made(|_, _| 0.0, |x, llm| 0.1 * llm as f64 * x[0]).fit(&[]);
    assert!(found.strength[1] > 0.9, "{:?}", found.strength);
}
