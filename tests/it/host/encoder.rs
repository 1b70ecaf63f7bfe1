//! The text encoder reproduces published embeddings and refuses folders without an encoder.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use personaroute_harness::path;
use personaroute_host::encoder::TextEncoder;

/// Texts of the data set to embed: each takes up to a tenth of a second in a debug build.
const TEXTS: usize = 40;

fn open() -> Option<TextEncoder> {
    let folder = path::encoder();
    if folder.is_dir() {
        return Some(TextEncoder::open(&folder, Some(&path::onnxruntime())).unwrap());
    }
    eprintln!("skipped: {} is not on this machine", folder.display());
    None
}

/// Returns the third column of `queries.csv.gz`, in the order of the file.
fn texts(folder: &Path) -> Vec<String> {
    let file = fs::File::open(folder.join("queries.csv.gz")).unwrap();
    let mut content = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut content).unwrap();
    let mut records = vec![vec![String::new()]];
    let mut quoted = false;
    let mut letters = content.chars().peekable();
    while let Some(letter) = letters.next() {
        let field = records.last_mut().unwrap().last_mut().unwrap();
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => field.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => records.last_mut().unwrap().push(String::new()),
            '\n' if !quoted => records.push(vec![String::new()]),
            other => field.push(other),
        }
    }
    assert_eq!(records[0][2], "query");
    records.retain(|record| record.len() > 2);
    records.drain(1..).map(|mut record| record.swap_remove(2)).collect()
}

/// Returns the rows of a two-dimensional array of little-endian 32-bit floats.
fn rows(file: &Path) -> Vec<Vec<f32>> {
    let mut content = Vec::new();
    fs::File::open(file).unwrap().read_to_end(&mut content).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([content[8], content[9]]));
    let text = String::from_utf8_lossy(&content[10..header]).into_owned();
    assert!(text.contains("'<f4'") && text.contains("'fortran_order': False"), "{text}");
    let shape: Vec<usize> =
        text.split(['(', ')']).nth(1).unwrap().split(',').map(|extent| extent.trim().parse().unwrap()).collect();
    let values: Vec<f32> =
        content[header..].chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    assert_eq!(values.len(), shape[0] * shape[1]);
    values.chunks_exact(shape[1]).map(<[f32]>::to_vec).collect()
}

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    let dot = |left: &[f32], right: &[f32]| left.iter().zip(right).map(|(l, r)| l * r).sum::<f32>();
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

#[test]
fn published_embeddings_are_reproduced() {
    let (Some(encoder), Some(folder)) = (open(), path::shared_data("zeroeval")) else { return };
    let published = rows(&folder.join("query_embeddings.npy"));
    let texts = texts(&folder);
    assert_eq!(texts.len(), published.len());
    let step = texts.len() / TEXTS;
    let picked: Vec<_> = texts.iter().step_by(step).map(String::as_str).collect();
    let embeddings = encoder.embed_batch(&picked).unwrap();
    for ((embedding, published), place) in embeddings.iter().zip(published.iter().step_by(step)).zip(0..) {
        assert_eq!(embedding.len(), 384);
        let cosine = cosine(embedding, published);
        assert!(cosine >= 0.999, "row {}: cosine {cosine}", place * step);
    }
}

#[test]
fn a_batch_has_the_embeddings_of_its_texts() {
    let Some(encoder) = open() else { return };
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
    let Some(encoder) = open() else { return };
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
