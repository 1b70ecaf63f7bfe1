//! ONNX's model files as messages: the part of the schema that graphs of this workspace use.

mod onnx;

pub use onnx::*;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use prost::Message as _;

    use super::*;

    /// A field that the schema here lacks would be lost on the way.
    #[test]
    fn the_default_bundles_scorer_is_read_and_written_again_byte_by_byte() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/bundle/scorer.onnx");
        let bytes = std::fs::read(&file).unwrap();
        let model = ModelProto::decode(bytes.as_slice()).unwrap();
        assert!(model.graph.as_ref().is_some_and(|graph| graph.node.len() > 10));
        assert!(model.encode_to_vec() == bytes, "{}", file.display());
    }
}
