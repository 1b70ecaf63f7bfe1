//! Reads arrays, lists and dictionaries of numbers from a Python pickle without executing anything.
//!
//! A pickle is a program for a stack machine. Only what numpy arrays, numbers, strings, lists, tuples and dictionaries
//! need is understood; every other name that the file wants to call is refused by name.

use std::collections::HashMap;
use std::path::Path;

use super::error::DataError;
use super::open;

mod build;
mod machine;

use machine::Machine;

/// What a pickle holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Numbers with their shape.
    Array {
        /// Length of each dimension.
        shape: Vec<usize>,
        /// Row by row.
        values: Vec<f32>,
    },
    /// A number.
    Number(f64),
    /// A string.
    Text(String),
    /// A list or tuple.
    List(Vec<Self>),
    /// A dictionary with text keys, in its order.
    Dict(Vec<(String, Self)>),
    /// Anything else that carries no numbers (None, booleans, bytes).
    Other,
}

/// Reads the value a file holds.
pub fn read(file: &Path) -> Result<Value, DataError> {
    parse(&open::bytes(file)?).map_err(|(expected, found)| DataError::format(file, expected, found))
}

/// What was expected, and what was found.
type Fault = (String, String);

fn parse(bytes: &[u8]) -> Result<Value, Fault> {
    Machine::new(bytes).run()
}

fn fault(expected: &str, found: impl Into<String>) -> Fault {
    (expected.to_owned(), found.into())
}

/// A value on the stack; containers live in the arena, as later instructions still change them.
#[derive(Debug, Clone)]
enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Tuple(Vec<usize>),
    List(Vec<usize>),
    Dict(Vec<(usize, usize)>),
    Global(Global),
    /// A numpy type by its code (`f4`) and byte order.
    Dtype {
        code: String,
        big_endian: bool,
    },
    /// An array that `BUILD` has yet to fill, or has filled.
    Array {
        shape: Vec<usize>,
        values: Vec<f32>,
    },
}

/// The names a pickle may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Global {
    Reconstruct,
    FromBuffer,
    Scalar,
    Ndarray,
    Dtype,
    Encode,
    Bytearray,
    OrderedDict,
}

impl Global {
    fn named(module: &str, name: &str) -> Result<Self, Fault> {
        let module = module.replace("numpy._core", "numpy.core");
        match (module.as_str(), name) {
            ("numpy.core.multiarray", "_reconstruct") => Ok(Self::Reconstruct),
            ("numpy.core.numeric", "_frombuffer") => Ok(Self::FromBuffer),
            ("numpy.core.multiarray", "scalar") => Ok(Self::Scalar),
            ("numpy", "ndarray") => Ok(Self::Ndarray),
            ("numpy", "dtype") => Ok(Self::Dtype),
            ("_codecs", "encode") => Ok(Self::Encode),
            ("builtins" | "__builtin__", "bytearray" | "bytes") => Ok(Self::Bytearray),
            ("collections", "OrderedDict") => Ok(Self::OrderedDict),
            _ => {
                Err(fault("a pickle of numpy arrays, lists or dictionaries only", format!("a call of {module}.{name}")))
            }
        }
    }
}

/// Turns a node into a value, following references; depth is bounded as a list may hold itself.
fn value(nodes: &[Node], at: usize, depth: usize) -> Result<Value, Fault> {
    if depth == 0 {
        return Err(fault("at most 8 levels of lists", "more"));
    }
    let inner =
        |items: &[usize]| items.iter().map(|&item| value(nodes, item, depth - 1)).collect::<Result<Vec<_>, _>>();
    Ok(match nodes.get(at) {
        Some(Node::Int(number)) => Value::Number(*number as f64),
        Some(Node::Float(number)) => Value::Number(*number),
        Some(Node::Text(text)) => Value::Text(text.clone()),
        Some(Node::Tuple(items) | Node::List(items)) => Value::List(inner(items)?),
        Some(Node::Dict(items)) => {
            let mut entries = Vec::with_capacity(items.len());
            for &(key, item) in items {
                let Some(Node::Text(name)) = nodes.get(key) else {
                    return Err(fault("dictionary keys that are text", "another kind of key"));
                };
                entries.push((name.clone(), value(nodes, item, depth - 1)?));
            }
            Value::Dict(dedup(entries))
        }
        Some(Node::Array { shape, values }) => Value::Array { shape: shape.clone(), values: values.clone() },
        Some(Node::None | Node::Bool(_) | Node::Bytes(_) | Node::Global(_) | Node::Dtype { .. }) | None => Value::Other,
    })
}

/// Keeps the last value of each key at the key's first place, as Python does.
fn dedup(entries: Vec<(String, Value)>) -> Vec<(String, Value)> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<(String, Value)> = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        match places.get(&name).and_then(|&place| kept.get_mut(place)) {
            Some(entry) => entry.1 = value,
            None => {
                places.insert(name.clone(), kept.len());
                kept.push((name, value));
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests;
