//! Support for the integration tests: paths, built parts, a fake upstream that records requests, a gateway, Python.

pub mod bundle;
pub mod bundle_files;
pub mod onnx;
pub mod skip;
pub mod path;
pub mod fixture;
pub mod schema;
pub mod upstream;
pub mod gateway;
pub mod wire;
pub mod node;
pub mod python;
pub mod python_package;
pub mod certificate;
pub mod document;
pub mod store;
pub mod stall;
pub mod wait;
