//! A small graph builder: names come out of the operations, constants go in as arrays.

use half::f16;
use personaroute_bundle::manifest::{Dim, Element, GraphSpec, TensorSpec};
use personaroute_onnx::attribute_proto::AttributeType;
use personaroute_onnx::tensor_proto::DataType;
use personaroute_onnx::tensor_shape_proto::{Dimension, dimension};
use personaroute_onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};
use tch::Tensor;

use crate::model::tensors::{extent, to_vec};

const OPSET: i64 = GraphSpec::OPSET as i64;
/// File format version: 8 is the one that came with operator set 17, so every runtime since then reads it.
const IR_VERSION: i64 = 8;

/// Name of a value inside the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

/// Collects nodes and constants.
#[derive(Debug, Default)]
pub struct Builder {
    graph: GraphProto,
}

impl Builder {
    /// Returns an empty graph of this name.
    pub fn new(name: &str) -> Self {
        let graph = GraphProto { name: Some(name.to_owned()), ..GraphProto::default() };
        Self { graph }
    }

    /// Adds the inputs of the manifest and returns their values in the same order.
    pub fn inputs(&mut self, specs: &[TensorSpec]) -> Vec<Value> {
        self.graph.input = specs.iter().map(port).collect();
        specs.iter().map(|spec| Value(spec.name.clone())).collect()
    }

    /// Gives `values`, results of operations, the names of the manifest's outputs, in the same order.
    pub fn outputs(&mut self, specs: &[TensorSpec], values: &[&Value]) {
        self.graph.output = specs.iter().map(port).collect();
        for (spec, value) in specs.iter().zip(values) {
            let names = self.graph.node.iter_mut().flat_map(|node| node.input.iter_mut().chain(&mut node.output));
            names.filter(|name| **name == value.0).for_each(|name| name.clone_from(&spec.name));
        }
    }

    /// Adds a constant of 32-bit floats.
    pub fn f32(&mut self, dims: &[usize], elements: &[f32]) -> Value {
        let raw = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constant(DataType::Float, dims, raw)
    }

    /// Adds a constant that is stored as 16-bit floats and read as 32-bit ones: the runtime folds the cast on loading.
    pub fn f16(&mut self, dims: &[usize], elements: &[f32]) -> Value {
        let raw = elements.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
        let stored = self.constant(DataType::Float16, dims, raw);
        self.op_with("Cast", &[&stored], vec![int("to", DataType::Float as i64)])
    }

    /// Adds a constant of 8-bit integers.
    pub fn i8(&mut self, dims: &[usize], elements: &[i8]) -> Value {
        self.constant(DataType::Int8, dims, elements.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// Adds a tensor as a constant of 32-bit floats.
    pub fn tensor(&mut self, tensor: &Tensor) -> Value {
        let dims: Vec<usize> = tensor.size().into_iter().map(extent).collect();
        self.f32(&dims, &to_vec(tensor))
    }

    /// Adds a constant of integers.
    pub fn i64(&mut self, dims: &[usize], elements: &[i64]) -> Value {
        let raw = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constant(DataType::Int64, dims, raw)
    }

    /// Adds an operation without attributes and returns its result.
    pub fn op(&mut self, op_type: &str, inputs: &[&Value]) -> Value {
        self.op_with(op_type, inputs, Vec::new())
    }

    /// Adds an operation with attributes and returns its result.
    pub fn op_with(&mut self, op_type: &str, inputs: &[&Value], attribute: Vec<AttributeProto>) -> Value {
        let name = format!("{}_{}", op_type.to_lowercase(), self.graph.node.len());
        self.push(op_type, inputs, vec![name.clone()], attribute);
        Value(name)
    }

    /// Returns the parts of `value` of these widths along its last axis.
    pub fn split<const PARTS: usize>(&mut self, value: &Value, widths: [i64; PARTS]) -> [Value; PARTS] {
        let sizes = self.i64(&[PARTS], &widths);
        let name = format!("split_{}", self.graph.node.len());
        let parts = std::array::from_fn(|part| format!("{name}_{part}"));
        self.push("Split", &[value, &sizes], parts.to_vec(), vec![int("axis", -1)]);
        parts.map(Value)
    }

    /// Returns `value` in the shape `[batch, ..dims]`.
    pub fn reshape(&mut self, value: &Value, dims: &[i64]) -> Value {
        let dims = [&[-1], dims].concat();
        let shape = self.i64(&[dims.len()], &dims);
        self.op("Reshape", &[value, &shape])
    }

    /// Returns the sum of `value` over one axis, which is dropped.
    pub fn sum(&mut self, value: &Value, axis: i64) -> Value {
        let axes = self.i64(&[1], &[axis]);
        self.op_with("ReduceSum", &[value, &axes], vec![int("keepdims", 0)])
    }

    /// Returns `value` with a new axis of extent 1.
    pub fn unsqueeze(&mut self, value: &Value, axis: i64) -> Value {
        let axes = self.i64(&[1], &[axis]);
        self.op("Unsqueeze", &[value, &axes])
    }

    /// Returns `value` without an axis of extent 1.
    pub fn squeeze(&mut self, value: &Value, axis: i64) -> Value {
        let axes = self.i64(&[1], &[axis]);
        self.op("Squeeze", &[value, &axes])
    }

    /// Returns `value` with its last two axes of three swapped.
    pub fn swapped(&mut self, value: &Value) -> Value {
        self.op_with("Transpose", &[value], vec![ints("perm", &[0, 2, 1])])
    }

    /// Returns `value · weight + bias`; `value` is `[batch, inputs]`, `weight` is `[inputs, outputs]`.
    pub fn linear(&mut self, value: &Value, weight: &Tensor, bias: &Tensor) -> Value {
        let bias = self.tensor(bias);
        self.linear_onto(value, weight, &bias)
    }

    /// Returns `value · weight + added`; `value` is `[batch, inputs]`, `weight` is `[inputs, outputs]`.
    pub fn linear_onto(&mut self, value: &Value, weight: &Tensor, added: &Value) -> Value {
        let weight = self.tensor(weight);
        self.op("Gemm", &[value, &weight, added])
    }

    /// Returns the finished model file.
    pub fn finish(self) -> Vec<u8> {
        let model = ModelProto {
            ir_version: Some(IR_VERSION),
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
            producer_name: Some("personaroute".to_owned()),
            producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            graph: Some(self.graph),
        };
        prost::Message::encode_to_vec(&model)
    }

    fn constant(&mut self, element: DataType, dims: &[usize], raw: Vec<u8>) -> Value {
        let name = format!("constant_{}", self.graph.initializer.len());
        self.graph.initializer.push(TensorProto {
            dims: dims.iter().map(|&n| n as i64).collect(),
            data_type: Some(element.into()),
            name: Some(name.clone()),
            raw_data: Some(raw),
        });
        Value(name)
    }

    fn push(&mut self, op_type: &str, inputs: &[&Value], output: Vec<String>, attribute: Vec<AttributeProto>) {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            name: Some(format!("node_{}", self.graph.node.len())),
            output,
            op_type: Some(op_type.to_owned()),
            attribute,
        });
    }
}

/// Returns an integer attribute.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

/// Returns an attribute of several integers.
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name, AttributeType::Ints) }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), r#type: Some(kind.into()), ..AttributeProto::default() }
}

fn port(spec: &TensorSpec) -> ValueInfoProto {
    let element = match spec.element {
        Element::F32 => DataType::Float,
        Element::I64 => DataType::Int64,
    };
    let extent = |dim: &Dim| match dim {
        Dim::Fixed(extent) => dimension::Value::DimValue(*extent as i64),
        Dim::Symbol(name) => dimension::Value::DimParam(name.clone()),
    };
    let dim = spec.dims.iter().map(|dim| Dimension { value: Some(extent(dim)) }).collect();
    let tensor = type_proto::Tensor { elem_type: Some(element.into()), shape: Some(TensorShapeProto { dim }) };
    let value = type_proto::Value::TensorType(tensor);
    ValueInfoProto { name: Some(spec.name.clone()), r#type: Some(TypeProto { value: Some(value) }) }
}
