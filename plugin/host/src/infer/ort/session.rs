//! Sessions of one graph, lent to one run at a time.
//!
//! `ort` gives a run exclusive access to its session, so calls run side by side only on copies.

use std::{
    path::Path,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ort::{
    session::{Session, SessionInputValue, SessionOutputs},
    value::{DynValue, Outlet, Shape, TensorElementType, TensorRef, ValueType},
};
use personaroute_bundle::manifest::{Dim, Element, TensorSpec};

use super::Runtime;
use crate::idle::Idle;
use crate::infer::{Elements, InferError, Tensor, contract::Contract};

/// Copies of one graph, ready to run.
pub(crate) struct Pool {
    shelf: Mutex<Shelf>,
    returned: Condvar,
    /// For each input of the session, its place among the inputs of the contract.
    inputs: Vec<usize>,
    /// For each output of the contract, its place among the outputs of the session and its name.
    outputs: Vec<(usize, String)>,
}

impl Pool {
    /// Opens `copies` sessions of the graph at `path`, which must be what `contract` says.
    pub(crate) fn open(runtime: &Runtime, path: &Path, contract: &Contract, copies: u32) -> Result<Self, String> {
        Self::new(sessions(runtime, path, copies)?, contract)
    }

    /// Opens `copies` sessions of any graph at `path` and says what it takes and gives.
    pub(crate) fn open_as_is(runtime: &Runtime, path: &Path, copies: u32) -> Result<(Self, Contract), String> {
        let sessions = sessions(runtime, path, copies)?;
        let first = sessions.first().ok_or("no session")?;
        let contract = Contract { inputs: specs(first.inputs())?, outputs: specs(first.outputs())? };
        Ok((Self::new(sessions, &contract)?, contract))
    }

    fn new(sessions: Vec<Session>, contract: &Contract) -> Result<Self, String> {
        let first = sessions.first().ok_or("no session")?;
        places("input", &contract.inputs, first.inputs())?;
        let outputs = places("output", &contract.outputs, first.outputs())?;
        let names = contract.outputs.iter().map(|spec| spec.name.clone());
        // `places` has found every input of the session in the contract.
        let inputs = first.inputs().iter().filter_map(|outlet| position(&contract.inputs, outlet.name())).collect();
        let mut idle = Idle::new();
        sessions.into_iter().for_each(|session| idle.put(session));
        Ok(Self {
            inputs,
            outputs: outputs.into_iter().zip(names).collect(),
            shelf: Mutex::new(Shelf { idle, waiting: 0 }),
            returned: Condvar::new(),
        })
    }

    /// Runs the graph on inputs in the contract's order.
    pub(crate) fn run(&self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, InferError> {
        let values = self.inputs.iter().filter_map(|&idx| inputs.get(idx)).map(value).collect::<Result<Vec<_>, _>>()?;
        let mut lent = self.lend(deadline)?;
        let Some(session) = lent.session.as_mut() else { return Err(InferError::Timeout) };
        let outputs = session.run(values.as_slice()).map_err(|error| runtime(&error))?;
        self.collect(&outputs)
    }

    fn lend(&self, deadline: Instant) -> Result<Lent<'_>, InferError> {
        let mut shelf = self.shelf();
        loop {
            if let Some(session) = shelf.idle.take() {
                return Ok(Lent { pool: self, session: Some(session) });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(InferError::Timeout);
            }
            shelf.waiting += 1;
            shelf = self.returned.wait_timeout(shelf, left).unwrap_or_else(PoisonError::into_inner).0;
            shelf.waiting -= 1;
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Sessions that nobody uses, and how many calls wait for one.
struct Shelf {
    idle: Idle<Session>,
    waiting: usize,
}

/// A session on loan; it goes back even when the run panics.
struct Lent<'a> {
    pool: &'a Pool,
    session: Option<Session>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        let mut shelf = self.pool.shelf();
        shelf.idle.put(session);
        let is_wanted = shelf.waiting > 0;
        drop(shelf);
        // To wake nobody is a system call all the same.
        if is_wanted {
            self.pool.returned.notify_one();
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

fn sessions(runtime: &Runtime, path: &Path, copies: u32) -> Result<Vec<Session>, String> {
    (0..copies.max(1)).map(|_| runtime.session(path)).collect()
}

/// Returns the outlets as a manifest would describe them.
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

/// Returns, for each of `specs`, its place among `outlets`, which must be the same tensors in any order.
fn places(kind: &str, specs: &[TensorSpec], outlets: &[Outlet]) -> Result<Vec<usize>, String> {
    if let Some(extra) = outlets.iter().find(|outlet| position(specs, outlet.name()).is_none()) {
        return Err(format!("{kind} {} of the graph is not in the manifest", extra.name()));
    }
    specs.iter().map(|spec| place(kind, spec, outlets)).collect()
}

fn place(kind: &str, spec: &TensorSpec, outlets: &[Outlet]) -> Result<usize, String> {
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
