//! The licences of what is installed: ours, those of every crate in the programs, and those of the native libraries.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::options::Options;
use super::prefix::Prefix;
use crate::environment::Environment;
use crate::{process, setup, workspace};

/// Where the licences are, from the prefix.
const FOLDER: &str = "share/doc/personaroute";
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// How the files begin that hold licences, in capitals.
const STARTS: &[&str] = &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// A crate in the programs.
struct Package {
    title: String,
    licence: String,
    folder: PathBuf,
}

/// Installs all of them.
pub(super) fn install(prefix: &mut Prefix, options: &Options, environment: &Environment) -> Result<()> {
    prefix.file(&workspace::root().join("LICENSE"), &format!("{FOLDER}/LICENSE"))?;
    let mut roots = vec!["personaroute-gateway", "personaroute-guest"];
    if options.with_training {
        roots.push("personaroute-training");
    }
    prefix.text(&listing(&packages(&metadata()?, &roots)?)?, &format!("{FOLDER}/third-party.txt"))?;
    let libraries = [("onnxruntime", &environment.onnxruntime), ("libtorch", &environment.libtorch)];
    for (name, library) in libraries.into_iter().filter_map(|(name, library)| Some((name, library.as_deref()?))) {
        match setup::licences(name, library)? {
            Some(folder) => prefix.folder(&folder, &format!("{FOLDER}/{name}"))?,
            None => eprintln!("install: {} is your own: add its licence to {FOLDER}/{name}", library.display()),
        }
    }
    Ok(())
}

fn metadata() -> Result<Value> {
    let mut cargo = process::cargo();
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]);
    let text = process::capture(&mut cargo, "listing the crates")?;
    serde_json::from_str(&text).context("cargo metadata")
}

/// Returns the crates of others that are linked into the programs, by name and version.
fn packages(metadata: &Value, roots: &[&str]) -> Result<Vec<Package>> {
    let all: BTreeMap<&str, &Value> =
        list(metadata, "packages").filter_map(|found| Some((text(found, "id")?, found))).collect();
    let nodes = metadata.get("resolve").context("cargo metadata resolves nothing")?;
    let nodes: BTreeMap<&str, &Value> =
        list(nodes, "nodes").filter_map(|node| Some((text(node, "id")?, node))).collect();
    let is_root =
        |id: &&str| all.get(id).and_then(|found| text(found, "name")).is_some_and(|name| roots.contains(&name));
    let mut waiting: Vec<&str> = all.keys().copied().filter(is_root).collect();
    ensure!(waiting.len() == roots.len(), "cargo metadata does not list {roots:?}");
    let mut linked = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if linked.insert(id) {
            let node = nodes.get(id).with_context(|| format!("cargo metadata resolves no {id}"))?;
            waiting.extend(list(node, "deps").filter(|edge| is_linked(edge)).filter_map(|edge| text(edge, "pkg")));
        }
    }
    // Crates of this workspace have no source.
    let foreign =
        linked.iter().filter_map(|id| all.get(id)).filter(|found| found.get("source").is_some_and(Value::is_string));
    let mut packages = foreign.map(|found| package(found)).collect::<Result<Vec<_>>>()?;
    packages.sort_by(|a, b| a.title.cmp(&b.title));
    Ok(packages)
}

/// True for an ordinary dependency; those of builds and tests do not become part of a program.
fn is_linked(edge: &Value) -> bool {
    list(edge, "dep_kinds").any(|kind| kind.get("kind").is_none_or(Value::is_null))
}

fn package(found: &Value) -> Result<Package> {
    let name = text(found, "name").context("a crate without a name")?;
    let version = text(found, "version").with_context(|| format!("{name} has no version"))?;
    let manifest = text(found, "manifest_path").map(Path::new).with_context(|| format!("{name} has no manifest"))?;
    Ok(Package {
        title: format!("{name} {version}"),
        licence: text(found, "license").unwrap_or("see its text").to_owned(),
        folder: manifest.parent().unwrap_or(manifest).to_path_buf(),
    })
}

/// Returns the list of crates, then each text once, with the crates that it belongs to.
fn listing(packages: &[Package]) -> Result<String> {
    let mut texts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut out = "Crates in these programs, and the licences that each is offered under.\n\n".to_owned();
    for package in packages {
        writeln!(out, "{}: {}", package.title, package.licence)?;
        for text in licences(&package.folder)? {
            texts.entry(text).or_default().push(&package.title);
        }
    }
    for (text, titles) in &texts {
        write!(out, "\n{}\n{}\n\n{text}", "=".repeat(80), titles.join(", "))?;
    }
    Ok(out)
}

/// Returns the texts of the licences in the folder of a crate.
fn licences(folder: &Path) -> Result<Vec<String>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && STARTS.iter().any(|start| name.starts_with(start)) {
            files.push(path);
        }
    }
    files.sort();
    let read = |file: &PathBuf| fs::read(file).with_context(|| file.display().to_string());
    files.iter().map(|file| Ok(String::from_utf8_lossy(&read(file)?).trim_end().to_owned() + "\n")).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_linked_is_listed() {
        let package = |name: &str, source: Value| {
            json!({ "id": name, "name": name, "version": "1.0.0", "source": source, "license": "MIT",
                    "manifest_path": format!("/{name}/Cargo.toml") })
        };
        let edge = |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let registry = json!("registry");
        let metadata = json!({
            "packages": [package("root", Value::Null), package("far", registry.clone()), package("near", registry.clone()),
                         package("build", registry.clone()), package("other", registry)],
            "resolve": { "nodes": [
                { "id": "root", "deps": [edge("near", Value::Null), edge("build", json!("build"))] },
                { "id": "near", "deps": [edge("far", Value::Null)] },
                { "id": "far", "deps": [edge("near", json!("dev"))] },
                { "id": "build", "deps": [] },
                { "id": "other", "deps": [] },
            ] },
        });
        let found = packages(&metadata, &["root"]).unwrap();
        let titles: Vec<&str> = found.iter().map(|package| package.title.as_str()).collect();
        assert_eq!(titles, ["far 1.0.0", "near 1.0.0"]);
        assert!(packages(&metadata, &["gone"]).is_err());
    }

    #[test]
    fn a_text_that_crates_share_stands_once() {
        let root = std::env::temp_dir().join(format!("xtask-licence-{}", std::process::id()));
        let crates = ["a", "b"].map(|name| {
            let folder = root.join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("LICENSE-MIT"), "do as you like\n\n").unwrap();
            fs::write(folder.join("lib.rs"), "code").unwrap();
            Package { title: format!("{name} 1"), licence: "MIT".to_owned(), folder }
        });
        let text = listing(&crates).unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert!(text.contains("a 1: MIT\nb 1: MIT\n") && text.contains("a 1, b 1\n\ndo as you like\n"), "{text}");
        assert!(text.matches("do as you like").count() == 1 && !text.contains("code"));
    }
}
