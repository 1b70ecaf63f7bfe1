//! Embeddings that data lacks are computed with the encoder that serves.
//!
//! A process of its own: ONNX Runtime allows one environment a process, and the export's tests make another.

use std::path::Path;

use ndarray::Array2;
use personaroute_training::data::encode;
use personaroute_training::data::outcome::{self, Cost};

#[test]
fn computed_embeddings_are_those_of_the_data() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/zeroeval");
    let (Some(encoder), true) = (std::env::var_os("PERSONAROUTE_ENCODER_DIR"), folder.is_dir()) else {
        eprintln!("skipped: no encoder, or {} is not here", folder.display());
        return;
    };
    let mut data = outcome::read(&folder, Cost::CostLog, &[]).unwrap();
    let (given, before) = (data.task_embeddings.clone(), data.fingerprint.clone());
    data.task_embeddings = Array2::zeros((data.tasks.len(), 0));
    encode::missing(&mut data, Path::new(&encoder)).unwrap();
    assert_eq!(data.task_embeddings.dim(), given.dim());
    for (computed, given) in data.task_embeddings.rows().into_iter().zip(given.rows()) {
        // The encoder's weights are rounded to eight bits.
        let cosine = computed.dot(&given);
        assert!(cosine > 0.995, "{cosine}");
    }
    assert_ne!(data.fingerprint, before);
}
