//! Where a value comes from: flag over environment over file over default, for every part.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use personaroute_harness::path;

/// A part: its key in the output of `personaroute check`, its flag, its variable, and what a value must be a link to.
struct Part {
    key: &'static str,
    flag: &'static str,
    variable: &'static str,
    target: Option<PathBuf>,
}

fn parts() -> Vec<Part> {
    let part = |key, flag, variable, target| Part { key, flag, variable, target };
    vec![
        part("listen", "--listen", "PERSONAROUTE_LISTEN", None),
        part("bundle", "--bundle", "PERSONAROUTE_BUNDLE", Some(path::default_bundle())),
        part("wasm", "--plugin", "PERSONAROUTE_PLUGIN", Some(path::plugin())),
        part("onnxruntime", "--onnxruntime", "ORT_DYLIB_PATH", Some(path::onnxruntime())),
        part("encoder", "--encoder", "PERSONAROUTE_ENCODER_DIR", Some(path::encoder())),
    ]
}

/// Returns the value that `source` gives to `part`; values of different sources differ.
fn value(part: &Part, source: &str, folder: &Path) -> String {
    let Some(target) = &part.target else {
        let port = source.bytes().map(u16::from).sum::<u16>();
        return format!("127.0.0.1:{port}");
    };
    let link = folder.join(format!("{}-{source}", part.key));
    if !link.is_symlink() {
        symlink(target, &link).unwrap();
    }
    link.display().to_string()
}

/// Returns what `personaroute check` prints, with the values of these sources in place.
fn effective(sources: &[&str], folder: &Path) -> String {
    let parts = parts();
    let has = |source: &str| sources.contains(&source);
    let mut text =
        "version: 1\nupstreams: [{name: up, kind: simulated}]\nmodels: [{llm: GPT-4o, upstream: up}]\n".to_owned();
    let mut command = Command::new(path::binary("personaroute"));
    let file = folder.join("gateway.yaml");
    command.arg("check").arg(&file).env_clear();
    for part in &parts {
        // Without a bundle and a plugin nothing can be checked: nothing is embedded in this build.
        let is_needed = matches!(part.key, "bundle" | "wasm");
        if has("file") || (is_needed && sources.is_empty()) {
            let value = value(part, "file", folder);
            text += &if part.key == "wasm" {
                format!("plugin: {{wasm: '{value}'}}\n")
            } else {
                format!("{}: '{value}'\n", part.key)
            };
        }
        if has("environment") {
            command.env(part.variable, value(part, "environment", folder));
        }
        if has("flag") {
            command.arg(part.flag).arg(value(part, "flag", folder));
        }
    }
    std::fs::write(&file, text).unwrap();
    let output = command.output().expect("the built program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_flag_overrides_the_environment_which_overrides_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for (sources, expected) in [
        (&["file"][..], "file"),
        (&["file", "environment"], "environment"),
        (&["file", "flag"], "flag"),
        (&["environment", "flag"], "flag"),
        (&["file", "environment", "flag"], "flag"),
        (&["environment"], "environment"),
    ] {
        let printed = effective(sources, folder.path());
        for part in parts() {
            let line = format!("{}: {}", part.key, value(&part, expected, folder.path()));
            let is_there = printed.lines().any(|found| found.trim().replace(['\'', '"'], "") == line);
            assert!(is_there, "{sources:?}: {line} is not in\n{printed}");
        }
    }
}

#[test]
fn without_a_source_the_default_is_in_effect() {
    let folder = tempfile::tempdir().unwrap();
    let printed = effective(&[], folder.path());
    assert!(printed.contains("\nlisten: 127.0.0.1:8080\n"), "{printed}");
    assert!(!printed.contains("\nonnxruntime:") && !printed.contains("\nencoder:"), "{printed}");
}

#[test]
fn a_plugin_that_nothing_names_is_an_error_that_says_how_to_name_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    std::fs::write(
        &file,
        "version: 1\nupstreams: [{name: up, kind: simulated}]\nmodels: [{llm: GPT-4o, upstream: up}]\n",
    )
    .unwrap();
    let mut command = Command::new(path::binary("personaroute"));
    command.arg("check").arg(&file).arg("--bundle").arg(path::default_bundle()).env_clear().current_dir("/");
    let output = command.output().expect("the built program");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("give --plugin FILE, PERSONAROUTE_PLUGIN or `plugin.wasm`"), "{told}");
}
