//! Embeds the routing plugin and the default bundle if `PERSONAROUTE_EMBED_PLUGIN` (a file) and
//! `PERSONAROUTE_EMBED_BUNDLE` (a folder) name them. Without these variables nothing is embedded.
//!
//! The bundle is verified when the program opens it. A build-dependency on `personaroute-bundle` could do it here, but would
//! compile half of the dependencies a second time.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let plugin = match named("PERSONAROUTE_EMBED_PLUGIN") {
        Some(file) => format!("Some({}.as_slice())", content(&file)?),
        None => "None".to_owned(),
    };
    let bundle = match named("PERSONAROUTE_EMBED_BUNDLE") {
        Some(folder) => format!("Some(&[{}])", files(&folder)?),
        None => "None".to_owned(),
    };
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&out).join("plugin.rs"), plugin)?;
    fs::write(Path::new(&out).join("bundle.rs"), bundle)?;
    Ok(())
}

fn named(variable: &str) -> Option<PathBuf> {
    println!("cargo::rerun-if-env-changed={variable}");
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Returns the expression for the content of `file`.
fn content(file: &Path) -> Result<String> {
    let path = fs::canonicalize(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let path = path.to_str().ok_or_else(|| format!("{}: the path is not UTF-8", file.display()))?;
    println!("cargo::rerun-if-changed={path}");
    Ok(format!("include_bytes!({path:?})"))
}

/// Returns the list entries, name and content, of the files below `folder`.
fn files(folder: &Path) -> Result<String> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut list = String::new();
    let mut prefixes = vec![String::new()];
    while let Some(prefix) = prefixes.pop() {
        let path = folder.join(&prefix);
        for entry in fs::read_dir(&path).map_err(|error| format!("{}: {error}", path.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| format!("{}: a name is not UTF-8", path.display()))?;
            let name = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() {
                prefixes.push(name + "/");
            } else {
                write!(list, "({name:?}, {}), ", content(&entry.path())?)?;
            }
        }
    }
    Ok(list)
}
