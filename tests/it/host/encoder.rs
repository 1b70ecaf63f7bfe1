//! The text encoder computes the embeddings that an independent implementation does, and refuses folders without an encoder.

use personaroute_harness::{fixture, path};
use personaroute_host::encoder::TextEncoder;

fn open() -> TextEncoder {
    TextEncoder::open(&path::encoder(), Some(&path::onnxruntime())).unwrap()
}

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    let dot = |left: &[f32], right: &[f32]| left.iter().zip(right).map(|(l, r)| l * r).sum::<f32>();
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

#[test]
fn embeddings_are_those_of_an_independent_implementation() {
    let expected = fixture::embeddings().unwrap();
    let texts: Vec<&str> = expected.iter().map(|(text, _)| text.as_str()).collect();
    let embeddings = open().embed_batch(&texts).unwrap();
    assert_eq!(embeddings.len(), expected.len());
    for (embedding, (text, expected)) in embeddings.iter().zip(&expected) {
        assert_eq!(embedding.len(), 384);
        // The encoder's weights are rounded to eight bits.
        let cosine = cosine(embedding, expected);
        assert!(cosine >= 0.995, "{text:?}: cosine {cosine}");
    }
}

#[test]
fn a_batch_has_the_embeddings_of_its_texts() {
    let encoder = open();
    let texts = ["", "one", "what is the capital of France?", "one", "a b c d e f g h i j k l m n o p"];
    let batch = encoder.embed_batch(&texts).unwrap();
    for (text, embedding) in texts.iter().zip(&batch) {
        let alone = encoder.embed(text).unwrap();
        // Padding changes the order of float sums in the quantised model a little.
        assert!(cosine(&alone, embedding) > 0.999, "{text:?}");
        let length: f32 = alone.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-4, "{text:?}: {length}");
    }
}

#[test]
fn tokens_past_256_are_ignored() {
    let encoder = open();
    let start = "word ".repeat(254);
    let long = format!("{start}{}", "entirely different ending ".repeat(2000));
    assert_eq!(encoder.embed(&long).unwrap(), encoder.embed(&start).unwrap());
}

#[test]
fn a_folder_without_an_encoder_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = TextEncoder::open(folder.path(), Some(&path::onnxruntime())).err().unwrap();
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
}
