//! Where the files of a bundle are read from: a folder, or the memory of the program.

use std::borrow::Cow;
use std::fmt::{self, Debug, Display};
use std::fs;
use std::path::{Path, PathBuf};

use crate::BundleError;

/// The content of a file: read into memory, or part of the program.
pub type Content = Cow<'static, [u8]>;

/// The files of a bundle that is compiled into a program, each with its name relative to the bundle.
///
/// [`embed::rust_source`](crate::embed::rust_source) generates the expression in a build script.
pub type EmbeddedFiles = &'static [(&'static str, &'static [u8])];

/// Where the files of a bundle are read from.
///
/// ```
/// use personaroute_bundle::source::{BundleSource, EmbeddedFiles};
///
/// let folder = BundleSource::from("configs/bundle");
/// assert_eq!(folder.to_string(), "configs/bundle");
///
/// const FILES: EmbeddedFiles = &[("tasks.yaml", b"tasks: []")];
/// let embedded = BundleSource::from(FILES);
/// assert_eq!(embedded.read("tasks.yaml")?.as_ref(), b"tasks: []");
/// assert!(embedded.read("llms.yaml").is_err());
/// # Ok::<(), personaroute_bundle::BundleError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum BundleSource {
    /// A folder.
    Folder(PathBuf),
    /// Files in the memory of the program.
    Embedded(EmbeddedFiles),
}

impl BundleSource {
    /// Reads a file; `name` is relative to the bundle.
    ///
    /// # Errors
    ///
    /// [`BundleError::Read`] when the file is missing or cannot be read.
    pub fn read(&self, name: &str) -> Result<Content, BundleError> {
        match self {
            Self::Folder(dir) => {
                let file = dir.join(name);
                fs::read(&file).map(Cow::Owned).map_err(BundleError::read(&file))
            }
            Self::Embedded(files) => {
                let content = files.iter().find(|(known, _)| *known == name).map(|(_, content)| *content);
                content.map(Cow::Borrowed).ok_or_else(|| {
                    let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "not part of the program");
                    BundleError::read(&self.path(name))(missing)
                })
            }
        }
    }

    /// Returns the path of a file as errors name it.
    pub fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(dir) => dir.join(name),
            Self::Embedded(_) => Path::new(EMBEDDED).join(name),
        }
    }

    /// Lists all files by name, in order.
    ///
    /// # Errors
    ///
    /// [`BundleError::Read`] when the folder or a folder in it cannot be read.
    pub fn list(&self) -> Result<Vec<String>, BundleError> {
        let mut names = match self {
            Self::Folder(dir) => list_folder(dir)?,
            Self::Embedded(files) => files.iter().map(|(name, _)| (*name).to_owned()).collect(),
        };
        names.sort();
        Ok(names)
    }
}

/// The folder of embedded files in errors.
const EMBEDDED: &str = "embedded bundle";

/// Lists the files below `dir`, relative to it and with `/` between folders, as a manifest does.
fn list_folder(dir: &Path) -> Result<Vec<String>, BundleError> {
    let mut names = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let path = dir.join(&folder);
        for entry in fs::read_dir(&path).map_err(BundleError::read(&path))? {
            let entry = entry.map_err(BundleError::read(&path))?;
            let name = format!("{folder}{}", entry.file_name().to_string_lossy());
            let is_folder = entry.file_type().map_err(BundleError::read(&path))?.is_dir();
            if is_folder { folders.push(name + "/") } else { names.push(name) }
        }
    }
    Ok(names)
}

impl Debug for BundleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) => f.debug_tuple("Folder").field(dir).finish(),
            Self::Embedded(files) => f.debug_list().entries(files.iter().map(|(name, _)| name)).finish(),
        }
    }
}

impl Display for BundleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) => Display::fmt(&dir.display(), f),
            Self::Embedded(_) => f.write_str(EMBEDDED),
        }
    }
}

impl From<PathBuf> for BundleSource {
    fn from(dir: PathBuf) -> Self {
        Self::Folder(dir)
    }
}

impl From<&PathBuf> for BundleSource {
    fn from(dir: &PathBuf) -> Self {
        Self::Folder(dir.clone())
    }
}

impl From<&Path> for BundleSource {
    fn from(dir: &Path) -> Self {
        Self::Folder(dir.to_owned())
    }
}

impl From<&str> for BundleSource {
    fn from(dir: &str) -> Self {
        Self::Folder(dir.into())
    }
}

impl From<&Self> for BundleSource {
    fn from(source: &Self) -> Self {
        source.clone()
    }
}

impl From<EmbeddedFiles> for BundleSource {
    fn from(files: EmbeddedFiles) -> Self {
        Self::Embedded(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_and_embedded_files_list_the_same_names() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("report")).unwrap();
        fs::write(dir.path().join("report/index.md"), "# Report").unwrap();
        fs::write(dir.path().join("llms.yaml"), "llms: []").unwrap();
        const FILES: EmbeddedFiles = &[("report/index.md", b"# Report"), ("llms.yaml", b"llms: []")];
        let (folder, embedded) = (BundleSource::from(dir.path()), BundleSource::from(FILES));
        assert_eq!(folder.list().unwrap(), ["llms.yaml", "report/index.md"]);
        assert_eq!(embedded.list().unwrap(), folder.list().unwrap());
        for name in embedded.list().unwrap() {
            assert_eq!(folder.read(&name).unwrap(), embedded.read(&name).unwrap());
        }
    }

    #[test]
    fn a_missing_embedded_file_is_named() {
        let refused = BundleSource::from(&[] as EmbeddedFiles).read("llms.yaml").unwrap_err();
        assert_eq!(refused.to_string(), "embedded bundle/llms.yaml: cannot be read");
    }
}
