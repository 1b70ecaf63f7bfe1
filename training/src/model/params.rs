//! Named parameters: where weights come from, and what a checkpoint stores.

use anyhow::{Context, Result, ensure};
use tch::{Device, Kind, Tensor};

use super::tensors::single;
use crate::train::seed::Rng;

/// All trainable tensors of a network, in the order they were made.
#[derive(Debug, Default)]
pub struct Params {
    entries: Vec<Param>,
}

/// One trainable tensor.
#[derive(Debug)]
pub struct Param {
    /// Path such as `adapter.read.weight`.
    pub name: String,
    /// The leaf.
    pub tensor: Tensor,
    /// Weight decay as a multiple of the configured one.
    pub decay: f64,
}

/// Makes parameters from a seeded stream, so that equal seeds give equal networks.
#[derive(Debug)]
pub struct Init<'a> {
    params: &'a mut Params,
    rng: Rng,
    device: Device,
}

/// `x · weight + bias`.
#[derive(Debug)]
pub struct Linear {
    /// `[inputs, outputs]`.
    pub weight: Tensor,
    /// `[outputs]`.
    pub bias: Tensor,
}

impl Params {
    /// Returns all parameters.
    pub fn iter(&self) -> std::slice::Iter<'_, Param> {
        self.entries.iter()
    }

    /// Copies the values of a list in the same order, as [`Params::values`] returned it.
    pub fn restore(&mut self, values: &[Tensor]) -> Result<()> {
        ensure!(values.len() == self.entries.len(), "{} values for {} parameters", values.len(), self.entries.len());
        tch::no_grad(|| {
            for (param, value) in self.entries.iter_mut().zip(values) {
                param.tensor.f_copy_(value).with_context(|| format!("parameter {}", param.name))?;
            }
            Ok(())
        })
    }

    /// Returns copies of all values.
    pub fn values(&self) -> Vec<Tensor> {
        self.entries.iter().map(|param| param.tensor.detach().copy()).collect()
    }

    /// Takes over every tensor of the same name and shape and returns how many there were.
    pub fn take_over(&mut self, named: &[(String, Tensor)]) -> usize {
        let mut taken = 0;
        for param in &mut self.entries {
            let found = named.iter().find(|(name, value)| *name == param.name && value.size() == param.tensor.size());
            if let Some((_, value)) = found {
                tch::no_grad(|| param.tensor.copy_(value));
                taken += 1;
            }
        }
        taken
    }
}

impl<'a> Init<'a> {
    /// Starts making parameters.
    pub fn new(params: &'a mut Params, rng: Rng, device: Device) -> Self {
        Self { params, rng, device }
    }

    /// Makes a linear layer with weights of variance `1 / inputs` and a zero bias.
    pub fn linear(&mut self, name: &str, inputs: i64, outputs: i64) -> Linear {
        let deviation = (inputs.max(1) as f64).sqrt().recip();
        let weight = self.normal(&format!("{name}.weight"), &[inputs, outputs], deviation, 1.0);
        Linear { weight, bias: self.zeros(&format!("{name}.bias"), &[outputs], 0.0) }
    }

    /// Makes a tensor of normal numbers.
    pub fn normal(&mut self, name: &str, dims: &[i64], deviation: f64, decay: f64) -> Tensor {
        let count: i64 = dims.iter().product();
        let drawn: Vec<f32> = (0..count).map(|_| single(self.rng.normal() * deviation)).collect();
        self.add(name, &Tensor::from_slice(&drawn).view(dims), decay)
    }

    /// Makes a tensor of zeros.
    pub fn zeros(&mut self, name: &str, dims: &[i64], decay: f64) -> Tensor {
        self.add(name, &Tensor::zeros(dims, (Kind::Float, Device::Cpu)), decay)
    }

    fn add(&mut self, name: &str, tensor: &Tensor, decay: f64) -> Tensor {
        let tensor = tensor.to_device(self.device).set_requires_grad(true);
        self.params.entries.push(Param { name: name.to_owned(), tensor: tensor.shallow_clone(), decay });
        tensor
    }
}

impl Linear {
    /// Applies the layer to the last axis.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.matmul(&self.weight) + &self.bias
    }
}
