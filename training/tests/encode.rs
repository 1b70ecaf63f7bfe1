//! Embeddings that data lacks are computed with the encoder that serves.
//!
//! A process of its own: ONNX Runtime allows one environment a process, and the export's tests make another.

use std::fs;
use std::path::Path;

use personaroute_training::data::encode;
use personaroute_training::data::outcome::{self, Cost};
use serde_json::{Map, Value};

/// Texts with their embeddings by an independent implementation, in units of 1e-5.
fn expected() -> anyhow::Result<Vec<Value>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/embeddings.json");
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

#[test]
fn computed_embeddings_are_those_of_an_independent_implementation() {
    let encoder = std::env::var_os("PERSONAROUTE_ENCODER_DIR").expect("the encoder: see `cargo xtask setup`");
    let expected = expected().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    // A task for each text, whose description it is; names that sort as the texts do.
    let name = |row: usize| format!("task-{row:02}");
    let rows = 0..expected.len();
    let queries: String = rows.clone().map(|row| format!("{row},{},question\n", name(row))).collect();
    let outcomes: String = rows.clone().map(|row| format!("{row},a,1,0,0\n")).collect();
    let tasks: Map<String, Value> = rows.map(|row| (name(row), expected[row]["text"].clone())).collect();
    write("queries.csv", format!("query_id,task_id,query\n{queries}"));
    write("outcomes.csv", format!("query_id,llm,effect,cost,cost_log\n{outcomes}"));
    write("llms.json", r#"{"a": {"feature": "the only one"}}"#.to_owned());
    write("tasks.json", Value::Object(tasks).to_string());
    let mut data = outcome::read(folder.path(), Cost::CostLog, &[]).unwrap();
    let before = data.fingerprint.clone();
    encode::missing(&mut data, Path::new(&encoder)).unwrap();
    assert_eq!(data.task_embeddings.dim(), (expected.len(), 384));
    for (computed, expected) in data.task_embeddings.rows().into_iter().zip(&expected) {
        let embedding = expected["embedding"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() * 1e-5);
        let product: f64 = computed.iter().zip(embedding).map(|(a, b)| f64::from(*a) * b).sum();
        // The encoder's weights are rounded to eight bits.
        assert!(product > 0.995, "{}: cosine {product}", expected["text"]);
    }
    assert_ne!(data.fingerprint, before);
}
