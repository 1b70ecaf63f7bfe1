//! Installs the programs as a tree that runs wherever it lies, from any folder, with no variable set.
//!
//! ```text
//! bin/                     personaroute, with the plugin and a bundle embedded; personaroute-train
//! lib/personaroute/        ONNX Runtime, libtorch, the plugin; the text encoder if the bundle needs one
//! share/personaroute/      the demo's configuration, an example and their schema
//! share/doc/personaroute/  licences
//! share/…                  shell completions, manual pages
//! ```

mod licence;
mod options;
pub(crate) mod prefix;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

pub(crate) use self::options::Options;
use self::prefix::Prefix;
use crate::environment::Environment;
use crate::setup::Need;
use crate::{bundle, plugin, process, setup, workspace};

/// The profile of what is installed.
pub(crate) const PROFILE: &str = "dist";
/// Folder of what the programs load; `plugin/host` looks there, and `training/build.rs` makes the loader look there.
const LIBRARIES: &str = "lib/personaroute";
const CONFIGURATIONS: &[&str] = &["demo.yaml", "gateway.yaml", "gateway.schema.json"];
/// What the gateway needs of the text encoder.
const ENCODER: &[&str] = &["model.onnx", "tokenizer.json"];

/// Builds and installs. Files that are there already and equal stay as they are.
pub(crate) fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    let environment = setup::ensure(&needs(options)?)?;
    let plugin = plugin::build()?;
    let programs = build(options, &environment, &plugin)?;
    verify(&programs)?;
    let mut prefix = Prefix::new(&options.prefix);
    for program in options.programs() {
        prefix.file(&programs.join(program), &format!("bin/{program}"))?;
    }
    install_libraries(&mut prefix, &environment, &plugin)?;
    for name in CONFIGURATIONS {
        prefix.file(&workspace::root().join("configs").join(name), &format!("share/personaroute/{name}"))?;
    }
    install_pages(&mut prefix, &programs, &environment)?;
    licence::install(&mut prefix, options, &environment)?;
    prefix.report(started.elapsed());
    Ok(())
}

fn needs(options: &Options) -> Result<Vec<Need>> {
    let mut needs = vec![Need::OnnxRuntime];
    if options.with_training {
        needs.push(Need::Training);
    }
    if bundle::embeds_queries(&options.bundle)? {
        needs.push(Need::Encoder);
    }
    Ok(needs)
}

/// Builds everything at once, so that each crate is compiled once, and returns the folder of the programs.
fn build(options: &Options, environment: &Environment, plugin: &Path) -> Result<PathBuf> {
    eprintln!("install: building (the first time takes many minutes)");
    let mut cargo = process::cargo();
    environment.give(&mut cargo)?;
    embed(&mut cargo, plugin, &options.bundle);
    cargo.env("PERSONAROUTE_COMMIT", process::commit());
    cargo.args(["build", "--profile", PROFILE, "--locked", "--bins"]);
    cargo.args(["--package", "personaroute-gateway", "--package", "personaroute-pages"]);
    match options.with_training {
        true => cargo.args(["--package", "personaroute-training"]),
        false => cargo.arg("--no-default-features"),
    };
    process::run(&mut cargo, "building the programs")?;
    Ok(workspace::target()?.join(PROFILE))
}

/// Makes a build embed the plugin and a bundle in the gateway.
pub(crate) fn embed(cargo: &mut Command, plugin: &Path, bundle: &Path) {
    cargo.env("PERSONAROUTE_EMBED_PLUGIN", plugin).env("PERSONAROUTE_EMBED_BUNDLE", bundle);
}

/// Fails when the embedded bundle is damaged.
fn verify(programs: &Path) -> Result<()> {
    let mut program = Command::new(programs.join("personaroute"));
    program.env_clear().args(["bundle", "verify"]);
    process::capture(&mut program, "verifying the embedded bundle").map(|_| ())
}

fn install_libraries(prefix: &mut Prefix, environment: &Environment, plugin: &Path) -> Result<()> {
    let onnxruntime = environment.onnxruntime.as_deref().context("set-up was not asked for ONNX Runtime")?;
    prefix.file(onnxruntime, &format!("{LIBRARIES}/libonnxruntime.so"))?;
    prefix.file(plugin, &format!("{LIBRARIES}/personaroute.wasm"))?;
    if let Some(encoder) = &environment.encoder {
        for name in ENCODER {
            prefix.file(&encoder.join(name), &format!("{LIBRARIES}/encoder/{name}"))?;
        }
    }
    let Some(libtorch) = &environment.libtorch else { return Ok(()) };
    let folder = libtorch.join("lib");
    let mut found = 0;
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let file = entry.with_context(|| folder.display().to_string())?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is_library(&file, &name)? {
            prefix.file(&file, &format!("{LIBRARIES}/{name}"))?;
            found += 1;
        }
    }
    ensure!(found > 0, "{} has no shared library", folder.display());
    Ok(())
}

/// True for shared libraries; scripts of the linker, which have the same ending, are of no use to the loader.
fn is_library(file: &Path, name: &str) -> Result<bool> {
    if !(name.ends_with(".so") || name.contains(".so.")) {
        return Ok(false);
    }
    let mut start = Vec::new();
    let mut input = fs::File::open(file).with_context(|| file.display().to_string())?.take(4);
    input.read_to_end(&mut start).with_context(|| file.display().to_string())?;
    Ok(start == b"\x7fELF")
}

fn install_pages(prefix: &mut Prefix, programs: &Path, environment: &Environment) -> Result<()> {
    let pages = programs.join("pages");
    if pages.exists() {
        fs::remove_dir_all(&pages).with_context(|| pages.display().to_string())?;
    }
    let mut write = Command::new(programs.join("personaroute-pages"));
    environment.give(&mut write)?;
    process::run(write.arg(&pages), "writing completions and manual pages")?;
    prefix.folder(&pages, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_told_from_the_linkers_scripts() {
        let folder = std::env::temp_dir().join(format!("xtask-install-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &[u8]| fs::write(folder.join(name), text).unwrap();
        write("libtorch.so", b"INPUT(libtorch_cpu.so)");
        write("libc10.so", b"\x7fELF...");
        write("libgomp.so.1", b"\x7fELF...");
        write("libtorch.a", b"\x7fELF...");
        let found = ["libtorch.so", "libc10.so", "libgomp.so.1", "libtorch.a"]
            .map(|name| is_library(&folder.join(name), name).unwrap());
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, [false, true, true, false]);
    }

    #[test]
    fn the_programs_look_where_the_libraries_are_installed() {
        let read = |name: &str| fs::read_to_string(workspace::root().join(name)).unwrap();
        assert!(read("plugin/host/src/installed.rs").contains(&format!("\"{LIBRARIES}\"")));
        assert!(read("training/build.rs").contains(&format!("$ORIGIN/../{LIBRARIES}\"")));
        assert!(CONFIGURATIONS.iter().all(|name| workspace::root().join("configs").join(name).is_file()));
        assert!(read("Cargo.toml").contains(&format!("[profile.{PROFILE}]")));
    }
}
