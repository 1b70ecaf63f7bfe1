//! Tests of what is refused, and of what a reload notices.

use std::{fs, path::Path, sync::LazyLock};

use crate::config::{Loaded, parse};

/// A certificate that signed itself, its key, and another key, as PEM.
static PEMS: LazyLock<[String; 3]> = LazyLock::new(|| {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    [own.cert.pem(), own.key_pair.serialize_pem(), other.serialize_pem()]
});

fn read(folder: &Path, url: &str, keys: &str) -> Result<Loaded, String> {
    let [certificate, key, other] = &*PEMS;
    for (name, text) in [("c.pem", &**certificate), ("k.pem", key), ("other.pem", other), ("garbage.pem", "no PEM")] {
        fs::write(folder.join(name), text).unwrap();
    }
    let text = format!(
        "version: 1
upstreams:
  - {{name: u, kind: openai, base_url: '{url}', {keys}}}
models: [{{llm: a, upstream: u, input_price: 1, output_price: 2}}]
"
    );
    let env = |name: &str| match name {
        "FILE" => Some("k.pem".to_owned()),
        "TEXT" => Some(key.clone()),
        _ => None,
    };
    parse(&folder.join("gateway.yaml"), &text, &env).map_err(|error| error.to_string())
}

#[test]
fn files_references_to_files_and_references_to_the_text_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    for key in ["k.pem", "'${FILE}'", "'${TEXT}'"] {
        let keys = format!("ca: c.pem, client_certificate: c.pem, client_key: {key}");
        let loaded = read(folder.path(), "https://h/v1", &keys).unwrap();
        let tls = loaded.config.upstreams["u"].tls.clone().unwrap();
        assert!(tls.settings().client_auth_cert_resolver.has_certs());
        let files: Vec<_> = loaded.config.files.keys().map(|file| file.file_name().unwrap().to_owned()).collect();
        assert_eq!(files.contains(&"k.pem".into()), key != "'${TEXT}'", "watched: {files:?}");
        assert!(!loaded.effective().contains("PRIVATE"));
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_its_key_and_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let refusals = [
        ("https://h/v1", "ca: gone.pem", "`ca`: ", "gone.pem cannot be read"),
        ("https://h/v1", "ca: garbage.pem", "`ca`: ", "garbage.pem contains no certificate"),
        ("https://h/v1", "client_certificate: c.pem", "`client_certificate` needs a `client_key`", ""),
        ("https://h/v1", "client_key: k.pem", "`client_key` needs a `client_certificate`", ""),
        (
            "https://h/v1",
            "client_certificate: c.pem, client_key: c.pem",
            "`client_key`: ",
            "c.pem contains no private key",
        ),
        (
            "https://h/v1",
            "client_certificate: c.pem, client_key: other.pem",
            "`client_key`: ",
            "other.pem cannot be used together with `client_certificate`",
        ),
        ("https://h/v1", "client_certificate: c.pem, client_key: '${UNSET}'", "UNSET, which is not set", ""),
        ("http://h/v1", "ca: c.pem", "need an https `base_url`", "http://h/v1"),
    ];
    for (url, keys, what, more) in refusals {
        let error = read(folder.path(), url, keys).unwrap_err();
        assert!(error.contains("gateway.yaml:3:") && error.contains(what) && error.contains(more), "{error}");
    }
}

#[test]
fn a_key_in_the_file_is_refused_without_being_shown() {
    let folder = tempfile::tempdir().unwrap();
    let keys = format!("client_certificate: c.pem, client_key: {:?}", PEMS[1]);
    let error = read(folder.path(), "https://h/v1", &keys).unwrap_err();
    assert!(error.contains("`client_key` must be a reference") && !error.contains("PRIVATE"), "{error}");
}

#[test]
fn new_content_under_the_same_name_is_another_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let tls = |keys| read(folder.path(), "https://h/v1", keys).unwrap().config.upstreams["u"].tls.clone();
    assert_eq!(tls("ca: c.pem"), tls("ca: c.pem"));
    assert_ne!(tls("ca: c.pem"), tls("ca: c.pem, client_certificate: c.pem, client_key: k.pem"));
    assert_eq!(tls(""), None);
}
