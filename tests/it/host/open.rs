//! What a router refuses to open, and how it says so.

use std::fs;

use personaroute_harness::bundle::BundleSpec;
use personaroute_harness::bundle_files::{embed, update_checksums};
use personaroute_harness::path;
use personaroute_host::{OpenError, Provider, RouteError, Router, RouterOptions};

use super::fixture::{Fixture, open_with, options, request};

fn refusal(spec: &BundleSpec, change: impl FnOnce(&mut RouterOptions)) -> OpenError {
    let folder = tempfile::tempdir().unwrap();
    let options = options(spec, &folder, change);
    Router::open(&options).err().unwrap()
}

#[test]
fn a_missing_plugin_is_named() {
    let error = refusal(&BundleSpec::default(), |options| options.plugin = "/nowhere/plugin.wasm".into());
    assert_eq!(error.to_string(), "the plugin /nowhere/plugin.wasm cannot be read");
}

#[test]
fn a_file_that_is_no_plugin_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plugin.wasm");
    for content in [b"hello".as_slice(), b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0"] {
        fs::write(&file, content).unwrap();
        let error = refusal(&BundleSpec::default(), |options| options.plugin = file.as_path().into());
        assert!(matches!(error, OpenError::Plugin { .. }), "{content:?}: {error}");
    }
}

#[test]
fn a_missing_bundle_is_named() {
    let options = RouterOptions::new("/nowhere/bundle", path::plugin());
    let error = Router::open(&options).err().unwrap();
    assert!(matches!(&error, OpenError::Bundle(source) if source.to_string().contains("/nowhere/bundle")), "{error}");
}

#[test]
fn a_second_runtime_library_is_refused() {
    let first = open_with(&BundleSpec::default(), |_options| ());
    let error = refusal(&BundleSpec::default(), |options| options.onnxruntime = Some(path::plugin()));
    assert!(error.to_string().contains("this process already runs"), "{error}");
    drop(first);
}

#[test]
fn a_graph_that_differs_from_the_manifest_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&BundleSpec::default(), &folder, |_options| ());
    let wider = folder.path().join("wider");
    BundleSpec { llms: 6, ..BundleSpec::default() }.write(&wider).unwrap();
    let bundle = folder.path().join("bundle");
    fs::copy(wider.join("scorer.onnx"), bundle.join("scorer.onnx")).unwrap();
    update_checksums(&bundle).unwrap();
    let error = Router::open(&options).err().unwrap().to_string();
    assert_eq!(error, "graph scorer: output utility has the dims [-1, 6] in the graph and [batch, 5] in the manifest");
    fs::write(bundle.join("scorer.onnx"), b"not a graph").unwrap();
    update_checksums(&bundle).unwrap();
    let error = Router::open(&options).err().unwrap().to_string();
    assert!(error.starts_with("graph scorer: ") && error.contains("scorer.onnx"), "{error}");
}

#[test]
fn a_changed_file_of_the_bundle_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&BundleSpec::default(), &folder, |_options| ());
    let bundle = folder.path().join("bundle");
    for name in ["scorer.onnx", "adapter.onnx", "users.safetensors", "users.idx", "llms.yaml", "tasks.yaml"] {
        let file = bundle.join(name);
        let content = fs::read(&file).unwrap();
        let mut changed = content.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(&file, changed).unwrap();
        let Err(OpenError::Bundle(source)) = Router::open(&options) else { panic!("{name}") };
        assert!(source.to_string().starts_with(&format!("{}: sha256: expected", file.display())), "{source}");
        fs::write(&file, content).unwrap();
    }
    assert!(Router::open(&options).is_ok());
}

#[test]
fn an_embedded_bundle_and_plugin_decide_as_their_files_do() {
    let spec = BundleSpec::default();
    let folder = tempfile::tempdir().unwrap();
    let files = Router::open(&options(&spec, &folder, |_options| ())).unwrap();
    let plugin: &'static [u8] = fs::read(path::plugin()).unwrap().leak();
    let bundle = embed(&folder.path().join("bundle")).unwrap();
    let embedded =
        RouterOptions { bundle: bundle.into(), ..options(&spec, &folder, |options| options.plugin = plugin.into()) };
    fs::remove_dir_all(folder.path()).unwrap();
    let embedded = Router::open(&embedded).unwrap();
    for user in ["thrifty", "lavish"] {
        let request = request(&files, Some(user), "What is 12 times 12?");
        assert_eq!(embedded.route(&request).unwrap().ranking, files.route(&request).unwrap().ranking);
    }
}

#[test]
fn an_embedded_plugin_that_is_no_component_is_refused() {
    let error = refusal(&BundleSpec::default(), |options| options.plugin = b"hello".as_slice().into());
    assert!(error.to_string().starts_with("embedded plugin is not a routing plugin: "), "{error}");
}

#[test]
fn limits_under_which_no_call_could_run_are_refused() {
    let error = refusal(&BundleSpec::default(), |options| options.limits.concurrency = 0);
    assert_eq!(error.to_string(), "limit concurrency: must be at least 1");
}

#[test]
fn a_provider_that_is_not_compiled_in_is_refused() {
    let error = refusal(&BundleSpec::default(), |options| options.provider = Provider::Cuda { device: 0 });
    assert!(matches!(error, OpenError::Provider { .. }), "{error}");
}

#[test]
fn a_bundle_with_embeddings_needs_their_encoder() {
    let spec = BundleSpec { embedding: Some(384), ..BundleSpec::default() };
    let error = refusal(&spec, |_options| ()).to_string();
    assert!(error.starts_with("text encoder: the bundle needs all-MiniLM-L6-v2"), "{error}");
    let narrow = BundleSpec { embedding: Some(128), ..BundleSpec::default() };
    let error = refusal(&narrow, |options| options.encoder = Some(path::encoder())).to_string();
    assert!(error.ends_with("has 384 dimensions, the bundle takes 128"), "{error}");
}

/// Opens a router on a bundle with embeddings.
fn encoding(deadline: std::time::Duration) -> Fixture {
    let spec = BundleSpec { embedding: Some(384), ..BundleSpec::default() };
    open_with(&spec, |options| {
        options.encoder = Some(path::encoder());
        options.limits.deadline = deadline;
    })
}

#[test]
fn a_bundle_with_embeddings_routes_through_the_encoder() {
    let fixture = encoding(std::time::Duration::from_secs(20));
    let decide = |text: &str| fixture.router.route(&request(&fixture.router, Some("lavish"), text)).unwrap();
    let (first, again, other) = (decide("one two three"), decide("one two three"), decide("an ode to the sea"));
    assert_eq!(first.ranking, again.ranking);
    assert_ne!(first.ranking, other.ranking, "the text changes the scores");
    assert_eq!(&*other.ranking[0].llm, "llm-4");
}

#[test]
fn a_bundle_may_include_its_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&BundleSpec { embedding: Some(384), ..BundleSpec::default() }, &folder, |options| {
        options.limits.sessions = 1;
    });
    let bundle = folder.path().join("bundle");
    fs::create_dir(bundle.join("encoder")).unwrap();
    for name in ["model.onnx", "tokenizer.json"] {
        fs::copy(path::encoder().join(name), bundle.join("encoder").join(name)).unwrap();
    }
    assert!(Router::open(&options).is_ok(), "a folder that the manifest does not list");
    update_checksums(&bundle).unwrap();
    assert!(Router::open(&options).is_ok(), "files that the manifest lists");
    fs::write(bundle.join("encoder/tokenizer.json"), "{}").unwrap();
    let Err(OpenError::Bundle(source)) = Router::open(&options) else { panic!("a changed tokenizer was accepted") };
    assert!(source.to_string().contains("encoder/tokenizer.json: sha256: expected"), "{source}");
}

#[test]
fn a_text_that_cannot_be_encoded_in_time_ends_in_timeout() {
    let fixture = encoding(std::time::Duration::from_millis(2));
    // The longest text takes tens of milliseconds on any machine.
    let long = "tell me about the history of the sea ".repeat(60);
    let error = fixture.router.route(&request(&fixture.router, None, &long)).unwrap_err();
    assert_eq!(error, RouteError::Timeout);
}
