//! Where the routing plugin is read from: a file, or the memory of the program.

use std::{
    borrow::Cow,
    fmt::{self, Debug, Display},
    fs, io,
    path::{Path, PathBuf},
};

/// Where the component of the routing plugin is read from.
///
/// ```
/// use personaroute_host::{PluginSource, RouterOptions};
///
/// let file = PluginSource::from("plugin/personaroute.wasm");
/// assert_eq!(file.to_string(), "plugin/personaroute.wasm");
///
/// // A program embeds the plugin with `include_bytes!` and the bundle with `bundle::embed::rust_source`.
/// const PLUGIN: &[u8] = b"\0asm";
/// let options = RouterOptions::new("configs/bundle", PLUGIN);
/// assert_eq!(options.plugin, PluginSource::Embedded(PLUGIN));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum PluginSource {
    /// A file.
    File(PathBuf),
    /// The bytes of the component in the memory of the program.
    Embedded(&'static [u8]),
}

impl PluginSource {
    /// Returns the bytes of the component.
    pub(crate) fn read(&self) -> io::Result<Cow<'static, [u8]>> {
        match self {
            Self::File(file) => fs::read(file).map(Cow::Owned),
            Self::Embedded(bytes) => Ok(Cow::Borrowed(bytes)),
        }
    }
}

impl Debug for PluginSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Embedded(bytes) => f.debug_struct("Embedded").field("bytes", &bytes.len()).finish(),
        }
    }
}

impl Display for PluginSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => Display::fmt(&file.display(), f),
            Self::Embedded(_) => f.write_str("embedded plugin"),
        }
    }
}

impl From<PathBuf> for PluginSource {
    fn from(file: PathBuf) -> Self {
        Self::File(file)
    }
}

impl From<&Path> for PluginSource {
    fn from(file: &Path) -> Self {
        Self::File(file.to_owned())
    }
}

impl From<&str> for PluginSource {
    fn from(file: &str) -> Self {
        Self::File(file.into())
    }
}

impl From<std::ffi::OsString> for PluginSource {
    fn from(file: std::ffi::OsString) -> Self {
        Self::File(file.into())
    }
}

impl From<&'static [u8]> for PluginSource {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Embedded(bytes)
    }
}
