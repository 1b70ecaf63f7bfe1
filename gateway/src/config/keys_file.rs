//! The keys in a file of their own, which others may write and fewer may read.

use std::path::Path;

use super::{
    Config, Error,
    auth::{ModelNames, add_keys, require_client_ca},
    raw,
};

/// Adds the keys of `file`, a YAML list, to those of `config`.
pub(super) fn read(file: &Path, config: &mut Config) -> Result<(), Error> {
    let Some(known) = &mut config.auth.keys else {
        return Ok(());
    };
    let text = std::fs::read_to_string(file).map_err(|source| Error::Read { path: file.to_path_buf(), source })?;
    let written: Vec<raw::Key> = serde_saphyr::from_str(&text).map_err(|error| Error::shape(file, &error))?;
    let has_client_ca = config.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    let names = ModelNames { models: &config.models, virtual_models: &config.virtual_models };
    require_client_ca(&written, has_client_ca)
        .and_then(|()| add_keys(known, &written, names))
        .map_err(|rejection| Error::invalid(file, rejection))
}

#[cfg(test)]
mod tests {
    use crate::config;

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// SHA-256 of nothing.
    const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn read(inline: &str, file: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys.yaml"), file).unwrap();
        let text = format!(
            "version: 1
upstreams: [{{name: up, kind: simulated}}]
models: [{{llm: a, upstream: up, input_price: 1, output_price: 2}}]
virtual_models: [{{name: auto}}]
auth: {{mode: keys, keys_file: keys.yaml, keys: [{inline}]}}
"
        );
        let loaded = config::parse(&folder.path().join("gateway.yaml"), &text, &|_| None);
        let keys = loaded.map_err(|error| error.to_string())?.config.auth.keys.unwrap_or_default();
        Ok(keys.iter().map(|key| key.name.to_string()).collect())
    }

    #[test]
    fn keys_of_both_places_count_and_faults_point_into_the_file() {
        let inline = format!("{{name: a, sha256: {}}}", "0".repeat(64));
        assert_eq!(read(&inline, &format!("- {{name: b, sha256: {HASH}, models: [auto]}}")).unwrap(), ["a", "b"]);
        let refusals = [
            (format!("- {{name: a, sha256: {HASH}}}"), "keys.yaml:1:10: key `a` is defined twice"),
            (format!("- {{name: b, sha256: {}}}", "0".repeat(64)), "the sha256 of key `b` is defined twice"),
            (format!("- {{name: b, sha256: {HASH}, models: [none]}}"), "model `none` is not defined"),
            ("- {name: b, sha256: sk-live-key}".to_owned(), "keys.yaml:1:21: `sha256` must be the SHA-256 of the key"),
            ("- {name: b, sha: x}".to_owned(), "keys.yaml:1:"),
            (format!("- {{name: b, certificate: {HASH}}}"), "keys.yaml:1:26: `certificate` must not be given without"),
            (format!("- {{name: b, sha256: {NOTHING}}}"), "keys.yaml:1:21: `sha256` must be the SHA-256 of the key"),
        ];
        for (file, expected) in refusals {
            let found = read(&inline, &file).unwrap_err();
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn a_key_written_in_place_of_its_hash_is_not_repeated() {
        let found = read("", "- {name: b, sha256: sk-live-key}").unwrap_err();
        assert!(!found.contains("sk-live-key"), "{found}");
    }
}
