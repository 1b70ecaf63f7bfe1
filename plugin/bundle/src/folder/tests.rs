//! A written bundle opens and verifies; a changed one is refused and the file named.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::catalog::{Llm, Task};
use crate::layout::{ADAPTER, SCORER};
use crate::manifest::tests::sample;
use crate::users::{Precision, UserTableWriter};

fn llm(id: &str) -> Llm {
    Llm {
        id: id.into(),
        model: id.into(),
        input_price: 0.1,
        output_price: 0.2,
        cached_input_price: None,
        context_window: None,
        capabilities: Vec::new(),
        description: "An LLM.".into(),
    }
}

/// A writer with every file of a bundle of `llms` LLMs and a user embedding of `user_dim` values.
fn filled(dir: &Path, llms: &[&str], user_dim: usize) -> BundleWriter {
    let mut writer = BundleWriter::create(dir).unwrap();
    writer.add_catalog(&Catalog { llms: llms.iter().map(|id| llm(id)).collect() }).unwrap();
    writer.add_tasks(&Tasks { tasks: vec![Task { name: "t".into(), description: "A task.".into() }] }).unwrap();
    let mut users = UserTableWriter::new(user_dim, Precision::F32);
    users.push("ann", &vec![0.5; user_dim], None, 1).unwrap();
    writer.add_users(&users).unwrap();
    writer.add(SCORER, b"scorer").unwrap();
    writer.add(ADAPTER, b"adapter").unwrap();
    writer.add("report/index.md", b"# Report").unwrap();
    writer
}

fn bundle() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("bundle");
    filled(&dir, &["a", "b"], 2).finish(sample()).unwrap();
    (parent, dir)
}

fn refusal<T>(opened: Result<T, BundleError>) -> String {
    opened.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn written_bundle_opens_and_verifies() {
    let (parent, dir) = bundle();
    let bundle = Bundle::verify(&dir).unwrap();
    assert_eq!(bundle.catalog.column("b"), Some(1));
    assert_eq!(bundle.users.get("ann").map(|row| row.embedding), Some(vec![0.5, 0.5]));
    assert_eq!(bundle.manifest.files.len(), 7);
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
}

#[test]
fn a_flipped_byte_in_any_file_is_refused_by_name() {
    let (_parent, dir) = bundle();
    for name in Bundle::open(&dir).unwrap().manifest.files.keys() {
        let file = dir.join(name);
        let mut content = fs::read(&file).unwrap();
        let last = content.len() - 1;
        content[last] ^= 1;
        fs::write(&file, &content).unwrap();
        let refused = refusal(Bundle::verify(&dir));
        assert!(refused.contains(name.as_str()), "{name}: {refused}");
        content[last] ^= 1;
        fs::write(&file, &content).unwrap();
    }
    Bundle::verify(&dir).unwrap();
}

#[test]
fn checksum_refusal_names_both_sums() {
    let (_parent, dir) = bundle();
    fs::write(dir.join(SCORER), b"scorfr").unwrap();
    let refused = refusal(Bundle::verify(&dir));
    let sum = crate::digest::sha256(b"scorer");
    assert!(refused.contains(&format!("scorer.onnx: sha256: expected {sum} as in manifest.yaml, found ")), "{refused}");
    assert_eq!(refusal(Bundle::open(&dir)), "");
}

#[test]
fn missing_and_unlisted_files_are_refused() {
    let (_parent, dir) = bundle();
    fs::write(dir.join("report/extra.md"), "").unwrap();
    assert!(
        refusal(Bundle::verify(&dir))
            .ends_with("files: expected an entry for every file, found none for report/extra.md")
    );
    for name in ["report/index.md", LLMS, MANIFEST] {
        fs::remove_file(dir.join(name)).unwrap();
        assert!(refusal(Bundle::open(&dir)).ends_with(&format!("{name}: cannot be read")));
    }
}

#[test]
fn manifest_and_files_must_agree() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("bundle");
    let llms = refusal(filled(&dir, &["a"], 2).finish(sample()));
    assert!(llms.ends_with("llms.yaml: llms: expected 2 as in manifest.yaml, found 1"), "{llms}");
    let users = refusal(filled(&dir, &["a", "b"], 3).finish(sample()));
    assert!(users.ends_with("embedding: expected rows of 2 values as in manifest.yaml, found 3"), "{users}");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn a_refused_bundle_leaves_the_one_in_place() {
    let (_parent, dir) = bundle();
    assert!(filled(&dir, &["a", "b", "c"], 2).finish(sample()).is_err());
    assert_eq!(Bundle::verify(&dir).unwrap().catalog.llms.len(), 2);
}

#[test]
fn an_open_bundle_survives_its_replacement() {
    let (_parent, dir) = bundle();
    let before = Bundle::open(&dir).unwrap();
    filled(&dir, &["x", "y"], 2).finish(sample()).unwrap();
    assert!(before.users.get("ann").is_some());
    assert_eq!(Bundle::open(&dir).unwrap().catalog.column("x"), Some(0));
}

#[test]
fn writing_outside_the_folder_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let mut writer = BundleWriter::create(&parent.path().join("bundle")).unwrap();
    assert!(refusal(writer.add("../x", b"")).contains("expected a path inside the bundle"));
}
