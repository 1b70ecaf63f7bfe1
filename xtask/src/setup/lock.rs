//! The lock file: the components, their wheels, and a checksum of every file that is kept.
//!
//! It is parsed field by field: a derive macro would add its compile time to the first build of every clone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// All components, by the name used on the command line.
pub(crate) struct Lock {
    components: BTreeMap<String, Component>,
}

/// One folder of the cache, with files from wheels.
pub(crate) struct Component {
    pub(crate) what: String,
    pub(crate) folder: String,
    pub(crate) wheels: Vec<Wheel>,
    pub(crate) write: BTreeMap<String, String>,
    pub(crate) files: BTreeMap<String, Locked>,
}

/// A wheel, specified so that pip can choose only one file.
pub(crate) struct Wheel {
    pub(crate) package: String,
    pub(crate) version: String,
    pub(crate) platform: String,
    pub(crate) megabytes: u64,
    pub(crate) sha256: String,
    /// Path in the wheel to path in the component; a path that ends in `/` means the whole folder.
    pub(crate) take: BTreeMap<String, String>,
    /// Licence texts: path in the wheel to path in the component's folder of licences. The wheel's checksum covers them.
    pub(crate) licences: BTreeMap<String, String>,
}

/// The expected size and checksum of a file.
pub(crate) struct Locked {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl Lock {
    /// Reads the lock file that is part of this repository.
    pub(crate) fn read() -> Result<Self> {
        Self::parse(include_str!("../../setup.lock.json")).context("xtask/setup.lock.json")
    }

    fn parse(text: &str) -> Result<Self> {
        let whole: Value = serde_json::from_str(text)?;
        Ok(Self { components: each(&whole, "components", Component::parse)? })
    }

    /// Returns one component.
    pub(crate) fn component(&self, name: &str) -> Result<&Component> {
        self.components.get(name).with_context(|| format!("xtask/setup.lock.json has no component `{name}`"))
    }

    /// Returns every component.
    pub(crate) fn components(&self) -> impl Iterator<Item = &Component> {
        self.components.values()
    }
}

impl Component {
    fn parse(value: &Value) -> Result<Self> {
        let wheels = value.get("wheels").and_then(Value::as_array).context("`wheels` is missing")?;
        Ok(Self {
            what: text(value, "what")?,
            folder: text(value, "folder")?,
            wheels: wheels.iter().map(Wheel::parse).collect::<Result<_>>()?,
            write: each(value, "write", string)?,
            files: each(value, "files", Locked::parse)?,
        })
    }

    /// True when every locked file is there in its locked size. Folders are put in place by one rename, after every
    /// checksum held: the size is enough to see that nobody cut a file since.
    pub(crate) fn is_in(&self, folder: &Path) -> bool {
        self.files.iter().all(|(name, locked)| {
            folder.join(name).metadata().is_ok_and(|found| found.is_file() && found.len() == locked.bytes)
        })
    }

    /// Checks every file's sha256.
    pub(crate) fn verify(&self, folder: &Path) -> Result<()> {
        for (name, locked) in &self.files {
            let file = folder.join(name);
            let bytes = file.metadata().with_context(|| file.display().to_string())?.len();
            ensure!(bytes == locked.bytes, "{}: {bytes} bytes, expected {}", file.display(), locked.bytes);
            check(&file, &locked.sha256)?;
        }
        Ok(())
    }
}

impl Wheel {
    fn parse(value: &Value) -> Result<Self> {
        Ok(Self {
            package: text(value, "package")?,
            version: text(value, "version")?,
            platform: text(value, "platform")?,
            megabytes: number(value, "megabytes")?,
            sha256: text(value, "sha256")?,
            take: each(value, "take", string)?,
            licences: each(value, "licences", string)?,
        })
    }
}

impl Locked {
    fn parse(value: &Value) -> Result<Self> {
        Ok(Self { bytes: number(value, "bytes")?, sha256: text(value, "sha256")? })
    }
}

/// Reads every entry of an object; an object that is not there has none.
fn each<T>(value: &Value, key: &str, read: impl Fn(&Value) -> Result<T>) -> Result<BTreeMap<String, T>> {
    let empty = Map::new();
    let entries = value.get(key).and_then(Value::as_object).unwrap_or(&empty);
    let read = |(name, entry): (&String, &Value)| Ok((name.clone(), read(entry).with_context(|| name.clone())?));
    entries.iter().map(read).collect()
}

fn text(value: &Value, key: &str) -> Result<String> {
    value.get(key).context("is missing").and_then(string).with_context(|| format!("`{key}`"))
}

fn string(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).context("a text was expected")
}

fn number(value: &Value, key: &str) -> Result<u64> {
    value.get(key).and_then(Value::as_u64).with_context(|| format!("`{key}`: a number was expected"))
}

/// Fails unless the file has this sha256.
pub(crate) fn check(file: &Path, expected: &str) -> Result<()> {
    let found = sha256(file)?;
    if found != expected {
        bail!("{}: sha256 is {found}, the lock file expects {expected}", file.display());
    }
    Ok(())
}

fn sha256(file: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut reader = File::open(file).with_context(|| file.display().to_string())?;
    io::copy(&mut reader, &mut hasher).with_context(|| file.display().to_string())?;
    Ok(format!("{:x}", hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_lock_file_reads_and_covers_every_file_that_is_taken() {
        let lock = Lock::read().unwrap();
        for component in lock.components() {
            let single_files = component.wheels.iter().flat_map(|wheel| wheel.take.values());
            for name in single_files.chain(component.write.keys()).filter(|name| !name.ends_with('/')) {
                assert!(component.files.contains_key(name), "{}: {name} has no checksum", component.what);
            }
        }
    }

    #[test]
    fn a_lock_file_with_a_gap_names_it() {
        let error =
            Lock::parse(r#"{"components": {"x": {"what": "x", "folder": "x", "wheels": [{}]}}}"#).err().unwrap();
        assert_eq!(format!("{error:#}"), "x: `package`: is missing");
    }

    #[test]
    fn a_file_with_a_flipped_byte_is_refused_with_both_sums() {
        let folder = std::env::temp_dir().join(format!("xtask-lock-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("value");
        std::fs::write(&file, "abc").unwrap();
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        check(&file, sum).unwrap();
        std::fs::write(&file, "abd").unwrap();
        let error = check(&file, sum).unwrap_err().to_string();
        assert!(error.contains("sha256 is a52d") && error.contains("expects ba78"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
