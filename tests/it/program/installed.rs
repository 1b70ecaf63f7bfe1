//! The programs in a tree like that of `cargo xtask install` find what they load there, without a variable or a folder of the
//! build.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use personaroute_harness::path;
use tempfile::TempDir;

/// A prefix with one of the programs; the parts that it loads are links.
struct Tree(TempDir);

impl Tree {
    fn of(program: &str) -> Self {
        let built = path::binary(program);
        // Beside the build: a hard link cannot lead to another file system, and a program sees through a symbolic one.
        let tree = Self(tempfile::tempdir_in(built.parent().unwrap()).unwrap());
        fs::create_dir_all(tree.path("bin")).unwrap();
        fs::create_dir_all(tree.path("lib/personaroute")).unwrap();
        fs::hard_link(&built, tree.path("bin").join(program)).unwrap();
        tree.link(&path::onnxruntime(), "libonnxruntime.so");
        tree.link(&path::plugin(), "personaroute.wasm");
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn link(&self, target: &Path, name: &str) {
        symlink(target, self.path("lib/personaroute").join(name)).unwrap();
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.path("bin").join(program));
        command.env_clear().current_dir("/").args(arguments).output().unwrap()
    }
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_gateway_finds_onnx_runtime_beside_itself() {
    let tree = Tree::of("personaroute");
    let config = path::root().join("configs/demo.yaml").display().to_string();
    let (plugin, bundle) = (path::plugin().display().to_string(), path::default_bundle().display().to_string());
    let arguments =
        ["infer", "--config", &config, "--plugin", &plugin, "--bundle", &bundle, "--query", "2 + 2", "--json"];
    let text = succeeded(&tree.run("personaroute", &[&arguments[..], &["--route-only"]].concat()));
    let known = fs::read_to_string(path::root().join("configs/demo.yaml")).unwrap();
    let row: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(known.contains(row["model_name"].as_str().unwrap()), "{row}");
    assert!(row["scores"].as_object().is_some_and(|scores| scores.len() > 1) && row.get("fallback").is_none(), "{row}");
    fs::remove_file(tree.path("lib/personaroute/libonnxruntime.so")).unwrap();
    let output = tree.run("personaroute", &[&arguments[..], &["--route-only"]].concat());
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no library is named"), "{output:?}");
}

#[test]
fn the_trainer_finds_libtorch_onnx_runtime_and_the_plugin_beside_itself() {
    let Some(libtorch) = std::env::var_os("LIBTORCH").map(PathBuf::from) else {
        panic!("LIBTORCH: `cargo xtask setup` prints it");
    };
    let tree = Tree::of("personaroute-train");
    for entry in fs::read_dir(libtorch.join("lib")).unwrap().flatten() {
        tree.link(&entry.path(), &entry.file_name().to_string_lossy());
    }
    let outcomes = path::root().join("tests/fixtures/outcomes").display().to_string();
    let [data, run, bundle] = ["data", "run", "bundle"].map(|name| tree.path(name).display().to_string());
    let trainer = |arguments: &[&str]| succeeded(&tree.run("personaroute-train", arguments));
    trainer(&["simulate", "--outcomes", &outcomes, "--users", "20", "--seen", "20", "--quiet", "--out", &data]);
    trainer(&["train", "--data", &data, "--run", &run, "--quiet"]);
    // Its graphs are compared with ONNX Runtime's results, and the bundle is served by plugin and runtime.
    trainer(&["export", "--run", &run, "--out", &bundle]);
    let table = trainer(&["evaluate", "--bundle", &bundle, "--data", &data, "--json"]);
    assert!(table.contains("router"), "{table}");
}
