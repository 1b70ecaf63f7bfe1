//! AdamW (Loshchilov and Hutter 2019) with one cycle of the learning rate, and a state that can be saved.
//!
//! libtorch's own optimisers do not give their moments away through `tch`, and a run that goes on must have them.

use anyhow::{Context, Result};
use tch::{Kind, Tensor};

use super::constants::{ADAM, CLIP, RATE_ENDS, WARM_UP};
use super::network::params::Params;

/// How many parameters at the head of [`Params::list`] are tables that weights decay.
const DECAYED: usize = 5;

/// Moments of the gradients.
#[derive(Debug)]
pub struct AdamW {
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    steps: usize,
    schedule: Schedule,
    decay: f64,
}

/// How the learning rate changes.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Highest rate.
    pub peak: f64,
    /// Steps of the whole run.
    pub steps: usize,
}

impl Schedule {
    /// Returns the rate of a step: up and down along cosines.
    pub fn rate(self, step: usize) -> f64 {
        let [begin, end] = RATE_ENDS;
        let at = step as f64 / self.steps.max(1) as f64;
        let cosine = |from: f64, to: f64, at: f64| to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * at).cos());
        let share = match at < WARM_UP {
            true => cosine(begin, 1.0, at / WARM_UP),
            false => cosine(1.0, end, ((at - WARM_UP) / (1.0 - WARM_UP)).min(1.0)),
        };
        self.peak * share
    }
}

impl AdamW {
    /// Returns an optimiser at its first step.
    pub fn new(params: &Params, schedule: Schedule, decay: f64) -> Self {
        let zeros = || params.list().iter().map(|tensor| tensor.detach().zeros_like()).collect();
        Self { first: zeros(), second: zeros(), steps: 0, schedule, decay }
    }

    /// Moves the parameters against the gradient of a loss.
    pub fn step(&mut self, params: &Params, loss: &Tensor) {
        let list = params.list();
        let gradients = Tensor::run_backward(&[loss], list.as_slice(), false, false);
        let _guard = tch::no_grad_guard();
        // A loss that does not read a parameter, such as the length's of equal texts, has no gradient of it.
        let known = |(gradient, parameter): (Tensor, &&Tensor)| match gradient.defined() {
            true => gradient,
            false => parameter.zeros_like(),
        };
        let gradients: Vec<Tensor> = gradients.into_iter().zip(&list).map(known).collect();
        let squares: Vec<Tensor> = gradients.iter().map(|gradient| gradient.square().sum(Kind::Double)).collect();
        let norm = Tensor::stack(&squares, 0).sum(Kind::Double).sqrt().double_value(&[]);
        let clipped = (CLIP / norm.max(1e-12)).min(1.0);
        let rate = self.schedule.rate(self.steps);
        self.steps += 1;
        let [keep_first, keep_second, least] = ADAM;
        let count = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let [whole_first, whole_second] = [keep_first, keep_second].map(|keep| 1.0 - keep.powi(count));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for (at, ((parameter, gradient), (first, second))) in list.into_iter().zip(gradients).zip(moments).enumerate() {
            let gradient = gradient * clipped;
            *first = &*first * keep_first + &gradient * (1.0 - keep_first);
            *second = &*second * keep_second + gradient.square() * (1.0 - keep_second);
            let direction = (&*first / whole_first) / ((&*second / whole_second).sqrt() + least);
            let decay = if at < DECAYED { self.decay } else { 0.0 };
            let mut parameter = parameter.shallow_clone();
            let moved = &parameter * (1.0 - rate * decay) - direction * rate;
            parameter.copy_(&moved);
        }
    }

    /// Returns the state by name.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        let numbered = |name: &'static str, tensors: &[Tensor]| {
            let one = |(at, tensor): (usize, &Tensor)| (format!("optimizer.{name}.{at}"), tensor.contiguous());
            tensors.iter().enumerate().map(one).collect::<Vec<_>>()
        };
        let steps = ("optimizer.steps".to_owned(), Tensor::from_slice(&[self.steps as i64]));
        [numbered("first", &self.first), numbered("second", &self.second), vec![steps]].into_iter().flatten().collect()
    }

    /// Takes the state from named tensors.
    pub fn load(&mut self, named: &[(String, Tensor)]) -> Result<()> {
        let find = |name: &str| {
            let found = named.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor);
            found.with_context(|| format!("no tensor {name}"))
        };
        for (name, tensors) in [("first", &mut self.first), ("second", &mut self.second)] {
            for (at, tensor) in tensors.iter_mut().enumerate() {
                *tensor = find(&format!("optimizer.{name}.{at}"))?.to_device(tensor.device());
            }
        }
        self.steps = usize::try_from(find("optimizer.steps")?.int64_value(&[0])).context("optimizer.steps")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_to_its_peak_and_falls() {
        let schedule = Schedule { peak: 0.01, steps: 100 };
        let rates: Vec<f64> = (0..=100).map(|step| schedule.rate(step)).collect();
        let peak = rates.iter().copied().fold(0.0, f64::max);
        assert!((peak - 0.01).abs() < 1e-9);
        assert!(rates[0] < 0.001 && rates[100] < 1e-5);
        assert!(rates[15..].is_sorted_by(|a, b| a >= b), "falls after the warm-up");
    }
}
