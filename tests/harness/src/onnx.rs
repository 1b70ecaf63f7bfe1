//! Writes small ONNX models byte by byte, so that tests need no model files and no trainer.
//!
//! The numbers are the field numbers of `onnx.proto`.

use personaroute_bundle::manifest::{Dim, Element, GraphSpec, TensorSpec};

const VARINT: u64 = 0;
const BYTES: u64 = 2;

/// A graph under construction.
#[derive(Default)]
pub struct Graph(Vec<u8>);

impl Graph {
    /// Adds an operation of the ONNX operator set.
    pub fn node(&mut self, operation: &str, inputs: &[&str], output: &str) -> &mut Self {
        self.node_with(operation, inputs, output, &[])
    }

    /// Adds an operation with integer attributes.
    pub fn node_with(
        &mut self,
        operation: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, i64)],
    ) -> &mut Self {
        let mut node = Vec::new();
        inputs.iter().for_each(|input| bytes(&mut node, 1, input.as_bytes()));
        bytes(&mut node, 2, output.as_bytes());
        bytes(&mut node, 4, operation.as_bytes());
        for (name, value) in attributes {
            let mut attribute = Vec::new();
            bytes(&mut attribute, 1, name.as_bytes());
            number(&mut attribute, 3, *value);
            number(&mut attribute, 20, 2);
            bytes(&mut node, 5, &attribute);
        }
        bytes(&mut self.0, 1, &node);
        self
    }

    /// Adds a constant of floats.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> &mut Self {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, dims, 1, &raw)
    }

    /// Adds a constant of integers.
    pub fn integers(&mut self, name: &str, dims: &[usize], values: &[i64]) -> &mut Self {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, dims, 7, &raw)
    }

    /// Returns the model file of this graph with the inputs and outputs of `spec`.
    pub fn model(&self, spec: &GraphSpec) -> Vec<u8> {
        let mut graph = self.0.clone();
        bytes(&mut graph, 2, b"test");
        spec.inputs.iter().for_each(|input| bytes(&mut graph, 11, &port(input)));
        spec.outputs.iter().for_each(|output| bytes(&mut graph, 12, &port(output)));
        let mut operators = Vec::new();
        number(&mut operators, 2, i64::from(spec.opset));
        let mut model = Vec::new();
        number(&mut model, 1, 8);
        bytes(&mut model, 7, &graph);
        bytes(&mut model, 8, &operators);
        model
    }

    fn constant(&mut self, name: &str, dims: &[usize], element: i64, raw: &[u8]) -> &mut Self {
        let mut tensor = Vec::new();
        dims.iter().for_each(|dim| number(&mut tensor, 1, i64::try_from(*dim).unwrap_or(i64::MAX)));
        number(&mut tensor, 2, element);
        bytes(&mut tensor, 8, name.as_bytes());
        bytes(&mut tensor, 9, raw);
        bytes(&mut self.0, 5, &tensor);
        self
    }
}

fn port(spec: &TensorSpec) -> Vec<u8> {
    let mut shape = Vec::new();
    for dim in &spec.dims {
        let mut axis = Vec::new();
        match dim {
            Dim::Fixed(extent) => number(&mut axis, 1, i64::try_from(*extent).unwrap_or(i64::MAX)),
            Dim::Symbol(symbol) => bytes(&mut axis, 2, symbol.as_bytes()),
        }
        bytes(&mut shape, 1, &axis);
    }
    let mut tensor = Vec::new();
    let element = match spec.element {
        Element::F32 => 1,
        Element::I64 => 7,
    };
    number(&mut tensor, 1, element);
    bytes(&mut tensor, 2, &shape);
    let mut kind = Vec::new();
    bytes(&mut kind, 1, &tensor);
    let mut port = Vec::new();
    bytes(&mut port, 1, spec.name.as_bytes());
    bytes(&mut port, 2, &kind);
    port
}

fn bytes(message: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(message, field << 3 | BYTES);
    varint(message, content.len() as u64);
    message.extend_from_slice(content);
}

fn number(message: &mut Vec<u8>, field: u64, value: i64) {
    varint(message, field << 3 | VARINT);
    varint(message, value.cast_unsigned());
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        message.push(value.to_le_bytes()[0] | 128);
        value >>= 7;
    }
    message.push(value.to_le_bytes()[0]);
}
