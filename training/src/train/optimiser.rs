//! AdamW (Loshchilov and Hutter, 2019, algorithm 2) with a state that a checkpoint can hold.

use anyhow::{Result, ensure};
use tch::Tensor;

use crate::model::params::Params;

/// Decay rates of the two moments and the denominator's floor, as in the paper.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Moments of every parameter.
#[derive(Debug)]
pub struct AdamW {
    weight_decay: f64,
    steps: i64,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
}

impl AdamW {
    /// Starts with moments of zero.
    pub fn new(params: &Params, weight_decay: f64) -> Self {
        let zeros = || params.iter().map(|param| param.tensor.zeros_like().set_requires_grad(false)).collect();
        Self { weight_decay, steps: 0, first: zeros(), second: zeros() }
    }

    /// Applies the gradients with learning rate `rate`, then clears them.
    pub fn step(&mut self, params: &Params, rate: f64) {
        self.steps += 1;
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (bias1, bias2) = (1.0 - BETA1.powi(steps), 1.0 - BETA2.powi(steps));
        tch::no_grad(|| {
            for ((param, m), v) in params.iter().zip(&mut self.first).zip(&mut self.second) {
                let mut gradient = param.tensor.grad();
                if !gradient.defined() {
                    continue;
                }
                let _ = m.lerp_(&gradient, 1.0 - BETA1);
                let _ = v.g_mul_scalar_(BETA2);
                let _ = v.addcmul_(&(&gradient * (1.0 - BETA2)), &gradient);
                let mut tensor = param.tensor.shallow_clone();
                if param.decay > 0.0 {
                    let _ = tensor.g_mul_scalar_(1.0 - rate * self.weight_decay * param.decay);
                }
                let denominator = (&*v / bias2).sqrt() + EPSILON;
                let _ = tensor.g_sub_(&(&*m * (rate / bias1) / denominator));
                let _ = gradient.zero_();
            }
        });
    }

    /// Returns the number of steps and copies of all moments, first ones first.
    pub fn state(&self) -> (i64, Vec<Tensor>) {
        (self.steps, self.first.iter().chain(&self.second).map(Tensor::copy).collect())
    }

    /// Takes over what [`AdamW::state`] returned.
    pub fn restore(&mut self, steps: i64, moments: &[Tensor]) -> Result<()> {
        let slots = self.first.len() + self.second.len();
        ensure!(moments.len() == slots, "{} moments for {slots} slots", moments.len());
        self.steps = steps;
        for (slot, moment) in self.first.iter_mut().chain(&mut self.second).zip(moments) {
            slot.f_copy_(moment)?;
        }
        Ok(())
    }
}

/// Returns the learning rate at `step` of `total`: linear warm-up over `warmup` steps, then a cosine to zero.
pub fn rate(peak: f64, step: usize, warmup: usize, total: usize) -> f64 {
    if step < warmup {
        return peak * (step + 1) as f64 / warmup as f64;
    }
    let done = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
    0.5 * peak * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::model::params::Init;
    use crate::train::seed::Rng;

    #[test]
    fn a_quadratic_is_minimised() {
        let mut params = Params::default();
        let x = Init::new(&mut params, Rng::new(1, &[]), Device::Cpu).normal("x", &[3], 1.0, 0.0);
        let mut optimiser = AdamW::new(&params, 0.1);
        for step in 0..400 {
            let loss = (&x - 2.0).square().sum(Kind::Float);
            loss.backward();
            optimiser.step(&params, rate(0.1, step, 10, 400));
        }
        assert!((x - 2.0).abs().max().double_value(&[]) < 1e-3);
    }

    #[test]
    fn the_rate_warms_up_and_ends_at_zero() {
        assert!((rate(1.0, 0, 4, 100) - 0.25).abs() < 1e-12);
        assert!((rate(1.0, 4, 4, 100) - 1.0).abs() < 1e-12);
        assert!(rate(1.0, 99, 4, 100) < 1e-3);
    }
}
