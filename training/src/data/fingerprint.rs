//! The fingerprint of a data set: SHA-256 over names, texts and numbers, independent of how the files were written.

use ndarray::Array2;
use sha2::{Digest, Sha256};

use super::Dataset;

/// Returns the fingerprint as hexadecimal digits; `dataset.fingerprint` itself does not count.
pub fn of(dataset: &Dataset) -> String {
    let mut hash = Sha256::new();
    for llm in &dataset.llms {
        texts(&mut hash, &[&llm.id, &llm.description, &llm.model]);
        hash.update(llm.input_price.to_le_bytes());
        hash.update(llm.output_price.to_le_bytes());
    }
    for task in &dataset.tasks {
        texts(&mut hash, &[&task.name, &task.description]);
    }
    for query in &dataset.queries {
        hash.update(query.id.to_le_bytes());
        hash.update(query.task.to_le_bytes());
        texts(&mut hash, &[&query.text]);
    }
    let arrays = [&dataset.llm_embeddings, &dataset.task_embeddings, &dataset.query_embeddings];
    arrays.into_iter().chain([&dataset.effect, &dataset.cost]).for_each(|array| numbers(&mut hash, array));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lengths keep `ab, c` and `a, bc` apart.
fn texts(hash: &mut Sha256, texts: &[&str]) {
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
}

fn numbers(hash: &mut Sha256, array: &Array2<f32>) {
    hash.update((array.nrows() as u64).to_le_bytes());
    hash.update((array.ncols() as u64).to_le_bytes());
    for value in array {
        hash.update(value.to_le_bytes());
    }
}
