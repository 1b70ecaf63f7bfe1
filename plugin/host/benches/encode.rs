//! How long does the text encoder take, by number of tokens, for one text and for a batch of eight?

use std::{env, hint::black_box, path::PathBuf};

use divan::Bencher;
use personaroute_host::encoder::TextEncoder;

fn main() {
    if folder().is_some() {
        divan::main();
    } else {
        eprintln!("skipped: PERSONAROUTE_ENCODER_DIR names no encoder");
    }
}

#[divan::bench(args = [8, 32, 128, 256], sample_count = 20)]
fn alone(bencher: Bencher<'_, '_>, tokens: usize) {
    let Some(encoder) = open() else { return };
    let text = text(tokens);
    bencher.bench_local(|| black_box(encoder.embed(black_box(&text))));
}

#[divan::bench(args = [8, 32, 128, 256], sample_count = 10)]
fn eight_at_once(bencher: Bencher<'_, '_>, tokens: usize) {
    let Some(encoder) = open() else { return };
    let text = text(tokens);
    let texts = [text.as_str(); 8];
    bencher.bench_local(|| black_box(encoder.embed_batch(black_box(&texts))));
}

fn folder() -> Option<PathBuf> {
    env::var_os("PERSONAROUTE_ENCODER_DIR").map(PathBuf::from).filter(|folder| folder.is_dir())
}

fn open() -> Option<TextEncoder> {
    TextEncoder::open(&folder()?, None).ok()
}

/// Returns a text of `tokens` tokens, the start and end tokens included.
fn text(tokens: usize) -> String {
    "word ".repeat(tokens.saturating_sub(2))
}
