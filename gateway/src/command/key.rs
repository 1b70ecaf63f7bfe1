//! `personaroute key`: a fresh API key and the hash that the configuration keeps of it.

use std::{fmt::Write as _, io::Write};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::Failed;

/// Prints a key, which is shown this once, and its hash.
pub(super) fn key(as_json: bool) -> Result<(), Failed> {
    let key = format!("pr-{}", hex(&rand::random::<[u8; 32]>()));
    let sha256 = hex(&Sha256::digest(&key));
    let text = if as_json {
        json!({"key": key, "sha256": sha256}).to_string()
    } else {
        format!("key: {key}\nsha256: {sha256}")
    };
    writeln!(std::io::stdout().lock(), "{text}").map_err(Failed::io("writing to stdout"))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}
