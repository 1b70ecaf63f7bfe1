//! A written bundle opens and verifies; a changed one is refused and the file named.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::catalog::{Llm, Task};
use crate::layout::{ADAPTER, SCORER};
use crate::manifest::tests::sample;
use crate::source::EmbeddedFiles;
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
    users.push("ann", &vec![0.5; user_dim], None, (1, 0.5)).unwrap();
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
        let refused = refusal(Bundle::open(&dir));
        assert!(refused.starts_with(&format!("{}: sha256: expected", file.display())), "{name}: {refused}");
        content[last] ^= 1;
        fs::write(&file, &content).unwrap();
    }
    Bundle::verify(&dir).unwrap();
}

#[test]
fn checksum_refusal_names_both_sums() {
    let (_parent, dir) = bundle();
    fs::write(dir.join(SCORER), b"scorfr").unwrap();
    let refused = refusal(Bundle::open(&dir));
    let sum = crate::digest::sha256(b"scorer");
    assert!(refused.contains(&format!("scorer.onnx: sha256: expected {sum} as in manifest.yaml, found ")), "{refused}");
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
fn an_open_bundle_survives_the_truncation_and_removal_of_its_files() {
    let (_parent, dir) = bundle();
    let opened = Bundle::open(&dir).unwrap();
    let row = opened.users.get("ann").unwrap();
    for name in [USER_ROWS, USER_INDEX] {
        // In place: the inode that was open is the one that loses its content.
        fs::File::options().write(true).open(dir.join(name)).unwrap().set_len(0).unwrap();
        assert_eq!(opened.users.get("ann"), Some(row.clone()), "{name} truncated");
        fs::write(dir.join(name), [0xff; 4096]).unwrap();
        assert_eq!(opened.users.get("ann"), Some(row.clone()), "{name} overwritten");
        fs::remove_file(dir.join(name)).unwrap();
        assert_eq!(opened.users.get("ann"), Some(row.clone()), "{name} removed");
    }
    assert!(refusal(Bundle::open(&dir)).contains("users."), "the damaged bundle cannot be opened again");
}

#[test]
fn a_graph_that_changes_after_opening_is_refused_when_it_is_read() {
    let (_parent, dir) = bundle();
    let opened = Bundle::open(&dir).unwrap();
    assert_eq!(opened.read(SCORER).unwrap().as_ref(), b"scorer");
    fs::write(dir.join(SCORER), b"scorfr").unwrap();
    assert!(refusal(opened.read(SCORER)).contains("scorer.onnx: sha256: expected"));
    assert!(refusal(opened.read("report/other.md")).contains("files: expected an entry report/other.md"));
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
fn a_folder_with_other_files_is_not_replaced() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("thesis");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("chapter.md"), "# One").unwrap();
    let refused = refusal(BundleWriter::create(&dir));
    assert_eq!(
        refused,
        format!(
            "{}: not replaced by a bundle, because it has the file chapter.md: name another folder or move the file",
            dir.display()
        )
    );
    fs::write(dir.join(MANIFEST), "files: {chapter: 1}").unwrap();
    assert!(refusal(BundleWriter::create(&dir)).contains("chapter.md"), "a manifest must list the file");
    assert_eq!(fs::read_to_string(dir.join("chapter.md")).unwrap(), "# One");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "nothing is left beside the folder");
}

#[test]
fn a_file_that_is_added_to_a_bundle_while_another_is_written_is_kept() {
    let (parent, dir) = bundle();
    let writer = filled(&dir, &["x", "y"], 2);
    fs::write(dir.join("notes.md"), "mine").unwrap();
    assert!(refusal(writer.finish(sample())).contains("has the file notes.md"));
    assert_eq!(fs::read_to_string(dir.join("notes.md")).unwrap(), "mine");
    assert_eq!(Bundle::open(&dir).unwrap().catalog.column("a"), Some(0), "the bundle is still there");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
}

#[test]
fn an_empty_folder_and_a_damaged_bundle_are_replaced() {
    let (_parent, dir) = bundle();
    fs::remove_file(dir.join(SCORER)).unwrap();
    fs::write(dir.join(ADAPTER), "damaged").unwrap();
    filled(&dir, &["x", "y"], 2).finish(sample()).unwrap();
    let empty = tempfile::tempdir().unwrap();
    filled(empty.path(), &["x", "y"], 2).finish(sample()).unwrap();
    Bundle::verify(empty.path()).unwrap();
}

#[test]
fn an_embedded_bundle_is_the_bundle_of_the_folder() {
    let (_parent, dir) = bundle();
    let folder = Bundle::open(&dir).unwrap();
    let names = folder.source.list().unwrap();
    let leak = |name: &String| -> (&'static str, &'static [u8]) {
        (name.clone().leak(), fs::read(dir.join(name)).unwrap().leak())
    };
    let files: EmbeddedFiles = names.iter().map(leak).collect::<Vec<_>>().leak();
    let embedded = Bundle::verify(files).unwrap();
    assert_eq!((&embedded.manifest, &embedded.catalog), (&folder.manifest, &folder.catalog));
    assert_eq!(embedded.users.get("ann"), folder.users.get("ann"));
    assert_eq!(embedded.read(SCORER).unwrap(), folder.read(SCORER).unwrap());
    let damage = |(name, content): &(&'static str, &'static [u8])| -> (&'static str, &'static [u8]) {
        if *name == LLMS { (name, b"llms: []") } else { (name, content) }
    };
    let damaged: EmbeddedFiles = files.iter().map(damage).collect::<Vec<_>>().leak();
    assert!(refusal(Bundle::open(damaged)).starts_with("embedded bundle/llms.yaml: sha256: expected"));
}

#[test]
fn generated_source_lists_every_file_of_a_bundle() {
    let (_parent, dir) = bundle();
    let source = crate::embed::rust_source(&dir).unwrap();
    for name in Bundle::open(&dir).unwrap().source.list().unwrap() {
        let file = dir.canonicalize().unwrap().join(&name);
        let entry = format!("({name:?}, include_bytes!({:?}))", file.display().to_string());
        assert!(source.contains(&entry), "{source}");
    }
}

#[test]
fn writing_outside_the_folder_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let mut writer = BundleWriter::create(&parent.path().join("bundle")).unwrap();
    assert!(refusal(writer.add("../x", b"")).contains("expected a path inside the bundle"));
}
