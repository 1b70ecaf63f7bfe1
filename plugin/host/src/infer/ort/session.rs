//! A pool of sessions of one graph; a run has a session to itself.
//!
//! `ort` needs exclusive access to a session for a run, so concurrent calls need several sessions of the same graph.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ort::{
    session::{Session, SessionInputValue, SessionOutputs},
    value::{DynValue, Outlet, Shape, TensorElementType, TensorRef, ValueType},
};
use personaroute_bundle::manifest::{Dim, Element, TensorSpec};

use super::{Model, Runtime};
use crate::affinity::AffinityPool;
use crate::infer::{Elements, InferError, Tensor, signature::Signature};

/// The sessions of one graph.
pub(crate) struct SessionPool {
    state: Mutex<PoolState>,
    released: Condvar,
    /// For each input of the session, its position among the inputs of the signature.
    inputs: Vec<usize>,
    /// For each output of the signature, its position among the outputs of the session and its name.
    outputs: Vec<(usize, String)>,
}

impl SessionPool {
    /// Opens `copies` sessions of `model`, whose inputs and outputs must be those of `signature`.
    pub(crate) fn open(
        runtime: &Runtime,
        model: &Model<'_>,
        signature: &Signature,
        copies: u32,
    ) -> Result<Self, String> {
        Self::new(sessions(runtime, model, copies)?, signature)
    }

    /// Opens `copies` sessions of any model and returns its signature too.
    pub(crate) fn open_as_is(runtime: &Runtime, model: &Model<'_>, copies: u32) -> Result<(Self, Signature), String> {
        let sessions = sessions(runtime, model, copies)?;
        let first = sessions.first().ok_or("no session")?;
        let signature = Signature { inputs: specs(first.inputs())?, outputs: specs(first.outputs())? };
        Ok((Self::new(sessions, &signature)?, signature))
    }

    fn new(sessions: Vec<Session>, signature: &Signature) -> Result<Self, String> {
        let first = sessions.first().ok_or("no session")?;
        match_outlets("input", &signature.inputs, first.inputs())?;
        let outputs = match_outlets("output", &signature.outputs, first.outputs())?;
        let names = signature.outputs.iter().map(|spec| spec.name.clone());
        // `match_outlets` has found every input of the session in the signature.
        let inputs = first.inputs().iter().filter_map(|outlet| position(&signature.inputs, outlet.name())).collect();
        let mut idle = AffinityPool::new();
        sessions.into_iter().for_each(|session| idle.put(session));
        Ok(Self {
            inputs,
            outputs: outputs.into_iter().zip(names).collect(),
            state: Mutex::new(PoolState { idle, waiting: 0 }),
            released: Condvar::new(),
        })
    }

    /// Runs the graph on inputs in the signature's order.
    pub(crate) fn run(&self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, InferError> {
        let values = self.inputs.iter().filter_map(|&idx| inputs.get(idx)).map(value).collect::<Result<Vec<_>, _>>()?;
        let mut pooled = self.acquire(deadline)?;
        let Some(session) = pooled.session.as_mut() else { return Err(InferError::Timeout) };
        let outputs = session.run(values.as_slice()).map_err(|error| runtime(&error))?;
        self.collect(&outputs)
    }

    /// Waits until `deadline` for a session that no run uses.
    fn acquire(&self, deadline: Instant) -> Result<PooledSession<'_>, InferError> {
        let mut state = self.state();
        loop {
            if let Some(session) = state.idle.take() {
                return Ok(PooledSession { pool: self, session: Some(session) });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(InferError::Timeout);
            }
            state.waiting += 1;
            state = self.released.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn collect(&self, outputs: &SessionOutputs<'_>) -> Result<Vec<Tensor>, InferError> {
        let values: Vec<_> = outputs.values().collect();
        let tensor = |(idx, name): &(usize, String)| {
            let value = values.get(*idx).ok_or_else(|| InferError::Runtime(format!("output {name} is missing")))?;
            tensor(name, value)
        };
        self.outputs.iter().map(tensor).collect()
    }
}

/// The sessions that no run uses, and the number of calls that wait for one.
struct PoolState {
    idle: AffinityPool<Session>,
    waiting: usize,
}

/// A session in use by one run; dropping it returns it to the pool, even when the run panics.
struct PooledSession<'a> {
    pool: &'a SessionPool,
    session: Option<Session>,
}

impl Drop for PooledSession<'_> {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        let mut state = self.pool.state();
        state.idle.put(session);
        let has_waiters = state.waiting > 0;
        drop(state);
        // Without a waiter, `notify_one` would still make a system call.
        if has_waiters {
            self.pool.released.notify_one();
        }
    }
}

fn value(tensor: &Tensor) -> Result<SessionInputValue<'_>, InferError> {
    let shape = Shape::new(tensor.dims.iter().map(|&dim| i64::from(dim)));
    match &tensor.elements {
        Elements::Float32(values) => {
            TensorRef::from_array_view((shape, values.as_slice())).map(SessionInputValue::from)
        }
        Elements::Int64(values) => TensorRef::from_array_view((shape, values.as_slice())).map(SessionInputValue::from),
    }
    .map_err(|error| runtime(&error))
}

fn tensor(name: &str, value: &DynValue) -> Result<Tensor, InferError> {
    let floats = value.try_extract_tensor::<f32>().map(|(shape, values)| (shape, Elements::Float32(values.to_vec())));
    let (shape, elements) = floats
        .or_else(|_| value.try_extract_tensor::<i64>().map(|(shape, values)| (shape, Elements::Int64(values.to_vec()))))
        .map_err(|error| runtime(&error))?;
    let dims = shape.iter().map(|&dim| u32::try_from(dim)).collect::<Result<_, _>>();
    let dims = dims.map_err(|_| InferError::Runtime(format!("output {name} has the shape {shape}")))?;
    Ok(Tensor { name: name.to_owned(), dims, elements })
}

fn runtime(error: &ort::Error) -> InferError {
    InferError::Runtime(error.to_string())
}

fn sessions(runtime: &Runtime, model: &Model<'_>, copies: u32) -> Result<Vec<Session>, String> {
    (0..copies.max(1)).map(|_| runtime.session(model)).collect()
}

/// Describes the outlets as a manifest does.
fn specs(outlets: &[Outlet]) -> Result<Vec<TensorSpec>, String> {
    outlets.iter().map(spec).collect()
}

fn spec(outlet: &Outlet) -> Result<TensorSpec, String> {
    let name = outlet.name();
    let ValueType::Tensor { ty, shape, dimension_symbols } = outlet.dtype() else {
        return Err(format!("{name} is not a tensor"));
    };
    let element = [(TensorElementType::Float32, Element::F32), (TensorElementType::Int64, Element::I64)]
        .into_iter()
        .find_map(|(known, element)| (*ty == known).then_some(element))
        .ok_or_else(|| format!("{name} is {ty}, neither float32 nor int64"))?;
    let dim = |(&extent, symbol): (&i64, &String)| {
        usize::try_from(extent).map_or_else(|_| Dim::symbol(symbol.as_str()), Dim::Fixed)
    };
    Ok(TensorSpec::new(name, element, shape.iter().zip(dimension_symbols.iter()).map(dim).collect()))
}

fn position(specs: &[TensorSpec], name: &str) -> Option<usize> {
    specs.iter().position(|spec| spec.name == name)
}

/// Returns the position of each of `specs` among `outlets`, which must be the same tensors in any order.
fn match_outlets(kind: &str, specs: &[TensorSpec], outlets: &[Outlet]) -> Result<Vec<usize>, String> {
    if let Some(extra) = outlets.iter().find(|outlet| position(specs, outlet.name()).is_none()) {
        return Err(format!("{kind} {} of the graph is not in the manifest", extra.name()));
    }
    specs.iter().map(|spec| match_outlet(kind, spec, outlets)).collect()
}

fn match_outlet(kind: &str, spec: &TensorSpec, outlets: &[Outlet]) -> Result<usize, String> {
    let name = &spec.name;
    let found = outlets.iter().position(|outlet| outlet.name() == name);
    let idx = found.ok_or_else(|| format!("{kind} {name} of the manifest is not in the graph"))?;
    let Some(ValueType::Tensor { ty, shape, .. }) = outlets.get(idx).map(Outlet::dtype) else {
        return Err(format!("{kind} {name} of the graph is not a tensor"));
    };
    let expected = match spec.element {
        Element::F32 => TensorElementType::Float32,
        Element::I64 => TensorElementType::Int64,
    };
    if *ty != expected {
        return Err(format!("{kind} {name} is {ty} in the graph and {expected} in the manifest"));
    }
    let agrees = shape.len() == spec.dims.len()
        && shape.iter().zip(&spec.dims).all(|(&extent, dim)| match dim {
            Dim::Fixed(fixed) => usize::try_from(extent) == Ok(*fixed),
            Dim::Symbol(_) => extent < 0,
        });
    if agrees {
        return Ok(idx);
    }
    let dims: Vec<_> = spec.dims.iter().map(ToString::to_string).collect();
    Err(format!("{kind} {name} has the dims {shape} in the graph and [{}] in the manifest", dims.join(", ")))
}
