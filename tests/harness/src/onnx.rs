//! Writes small ONNX models, so that tests need no model files and no trainer.

use personaroute_bundle::manifest::{Dim, Element, GraphSpec, TensorSpec};
use personaroute_onnx::attribute_proto::AttributeType;
use personaroute_onnx::tensor_proto::DataType;
use personaroute_onnx::tensor_shape_proto::{Dimension, dimension};
use personaroute_onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};
use prost::Message as _;

/// Version of the file format.
const IR_VERSION: i64 = 8;

/// A graph under construction.
#[derive(Default)]
pub struct Graph(GraphProto);

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
        self.0.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            op_type: Some(operation.to_owned()),
            attribute: attributes.iter().map(|&(name, value)| attribute(name, value)).collect(),
            ..NodeProto::default()
        });
        self
    }

    /// Adds a constant of floats.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> &mut Self {
        self.constant(name, dims, DataType::Float, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Adds a constant of integers.
    pub fn integers(&mut self, name: &str, dims: &[usize], values: &[i64]) -> &mut Self {
        self.constant(name, dims, DataType::Int64, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Returns the model file of this graph with the inputs and outputs of `spec`.
    pub fn model(&self, spec: &GraphSpec) -> Vec<u8> {
        let mut graph = self.0.clone();
        graph.name = Some("test".to_owned());
        graph.input = spec.inputs.iter().map(port).collect();
        graph.output = spec.outputs.iter().map(port).collect();
        let operators = OperatorSetIdProto { domain: None, version: Some(i64::from(spec.opset)) };
        let model = ModelProto {
            ir_version: Some(IR_VERSION),
            opset_import: vec![operators],
            graph: Some(graph),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    fn constant(&mut self, name: &str, dims: &[usize], element: DataType, raw: Vec<u8>) -> &mut Self {
        self.0.initializer.push(TensorProto {
            dims: dims.iter().map(|&dim| whole(dim)).collect(),
            data_type: Some(element.into()),
            name: Some(name.to_owned()),
            raw_data: Some(raw),
        });
        self
    }
}

fn attribute(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        i: Some(value),
        r#type: Some(AttributeType::Int.into()),
        ..AttributeProto::default()
    }
}

fn port(spec: &TensorSpec) -> ValueInfoProto {
    let element = match spec.element {
        Element::F32 => DataType::Float,
        Element::I64 => DataType::Int64,
    };
    let extent = |dim: &Dim| match dim {
        Dim::Fixed(extent) => dimension::Value::DimValue(whole(*extent)),
        Dim::Symbol(symbol) => dimension::Value::DimParam(symbol.clone()),
    };
    let dim = spec.dims.iter().map(|dim| Dimension { value: Some(extent(dim)) }).collect();
    let tensor = type_proto::Tensor { elem_type: Some(element.into()), shape: Some(TensorShapeProto { dim }) };
    let value = type_proto::Value::TensorType(tensor);
    ValueInfoProto { name: Some(spec.name.clone()), r#type: Some(TypeProto { value: Some(value) }) }
}

fn whole(extent: usize) -> i64 {
    i64::try_from(extent).unwrap_or(i64::MAX)
}
