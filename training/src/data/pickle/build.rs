//! The few calls a pickle of numpy arrays makes, done on plain values.

use super::super::dtype;
use super::{Fault, Global, Node, fault};

/// Returns what calling the node `callee` with the tuple `arguments` makes.
pub(super) fn call(nodes: &[Node], callee: usize, arguments: usize) -> Result<Node, Fault> {
    let Some(Node::Tuple(arguments)) = nodes.get(arguments) else { return Err(strange("arguments")) };
    let argument = |at: usize| arguments.get(at).and_then(|&at| nodes.get(at));
    let Some(Node::Global(callee)) = nodes.get(callee) else { return Err(strange("call")) };
    match callee {
        Global::Reconstruct => Ok(Node::Array { shape: Vec::new(), values: Vec::new() }),
        Global::Dtype => match argument(0) {
            Some(Node::Text(code)) => Ok(Node::Dtype { code: code.clone(), big_endian: false }),
            _ => Err(strange("numpy type")),
        },
        Global::FromBuffer => match (argument(0), argument(1), argument(2), argument(3)) {
            (Some(Node::Bytes(bytes)), Some(dtype), Some(Node::Tuple(shape)), Some(Node::Text(order))) => {
                array(nodes, shape, dtype, bytes, order == "F")
            }
            _ => Err(strange("numpy buffer")),
        },
        Global::Scalar => match (argument(0), argument(1)) {
            (Some(dtype), Some(Node::Bytes(bytes))) => scalar(dtype, bytes),
            _ => Err(strange("numpy number")),
        },
        Global::Encode => match argument(0) {
            Some(Node::Text(text)) => latin1(text).map(Node::Bytes),
            _ => Err(strange("encoded bytes")),
        },
        Global::Bytearray => match argument(0) {
            Some(Node::Bytes(bytes)) => Ok(Node::Bytes(bytes.clone())),
            None => Ok(Node::Bytes(Vec::new())),
            Some(_) => Err(strange("bytearray")),
        },
        Global::OrderedDict => Ok(Node::Dict(Vec::new())),
        Global::Ndarray => Err(strange("bare numpy.ndarray")),
    }
}

/// Returns what `BUILD` makes of the node `object`: an array filled from its state, a type with its byte order.
pub(super) fn fill(nodes: &[Node], object: usize, state: usize) -> Result<Option<Node>, Fault> {
    let Some(Node::Tuple(state)) = nodes.get(state) else { return Err(strange("state")) };
    let part = |at: usize| state.get(at).and_then(|&at| nodes.get(at));
    match nodes.get(object) {
        Some(Node::Dtype { code, .. }) => {
            let big_endian = matches!(part(1), Some(Node::Text(order)) if order == ">");
            Ok(Some(Node::Dtype { code: code.clone(), big_endian }))
        }
        Some(Node::Array { .. }) => {
            let (Some(Node::Tuple(shape)), Some(dtype), Some(Node::Bytes(bytes))) = (part(1), part(2), part(4)) else {
                return Err(strange("array state"));
            };
            let fortran = matches!(part(3), Some(Node::Int(1) | Node::Bool(true)));
            array(nodes, shape, dtype, bytes, fortran).map(Some)
        }
        _ => Err(strange("state of an unknown object")),
    }
}

fn array(nodes: &[Node], shape: &[usize], dtype: &Node, bytes: &[u8], fortran: bool) -> Result<Node, Fault> {
    let size = |&at: &usize| match nodes.get(at) {
        Some(Node::Int(size)) => usize::try_from(*size).map_err(|_| fault("a shape", format!("{size}"))),
        _ => Err(strange("shape")),
    };
    let shape = shape.iter().map(size).collect::<Result<Vec<_>, _>>()?;
    if fortran && shape.len() > 1 {
        return Err(fault("an array in C order", "one in Fortran order"));
    }
    let values = numbers(dtype, bytes)?;
    let expected = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    match expected == Some(values.len()) {
        true => Ok(Node::Array { shape, values }),
        false => Err(fault("as many numbers as the shape says", format!("{} for {shape:?}", values.len()))),
    }
}

fn scalar(dtype: &Node, bytes: &[u8]) -> Result<Node, Fault> {
    let values = numbers(dtype, bytes)?;
    values.first().map(|&value| Node::Float(f64::from(value))).ok_or_else(|| strange("numpy number"))
}

fn numbers(dtype: &Node, bytes: &[u8]) -> Result<Vec<f32>, Fault> {
    match dtype {
        Node::Dtype { code, big_endian: false } => {
            dtype::numbers(code, bytes).ok_or_else(|| fault("numbers of type f2, f4 or f8", code.clone()))
        }
        Node::Dtype { .. } => Err(fault("little-endian numbers", "big-endian ones")),
        Node::None | Node::Bool(_) | Node::Int(_) | Node::Float(_) | Node::Text(_) | Node::Bytes(_) => {
            Err(strange("numpy type"))
        }
        Node::Tuple(_) | Node::List(_) | Node::Dict(_) | Node::Global(_) | Node::Array { .. } => {
            Err(strange("numpy type"))
        }
    }
}

/// Undoes how protocol 2 writes bytes: one character a byte.
fn latin1(text: &str) -> Result<Vec<u8>, Fault> {
    text.chars().map(|c| u8::try_from(u32::from(c)).map_err(|_| strange("encoded bytes"))).collect()
}

fn strange(what: &str) -> Fault {
    fault("a pickle of numpy arrays, lists or dictionaries only", format!("an unknown form of {what}"))
}
