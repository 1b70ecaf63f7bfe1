//! What to install, and where.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

use crate::bundle;

/// The options of `cargo xtask install`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Folder below which everything is installed.
    pub(crate) prefix: PathBuf,
    /// Folder of the bundle to embed.
    pub(crate) bundle: PathBuf,
    /// Whether `personaroute-train` and libtorch are installed too.
    pub(crate) with_training: bool,
}

impl Options {
    /// Reads the arguments; relative folders begin at the current one.
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let (mut prefix, mut static_bundle, mut with_training) = (None, None, true);
        let mut rest = arguments.iter();
        while let Some(&argument) = rest.next() {
            let mut folder = || {
                let value = rest.next().with_context(|| format!("{argument} needs a folder"))?;
                std::path::absolute(value).with_context(|| format!("{argument} {value}"))
            };
            match argument {
                "--prefix" => prefix = Some(folder()?),
                "--static-bundle" => static_bundle = Some(folder()?),
                "--without-training" => with_training = false,
                other => bail!("install: `{other}` is not an option: see `cargo xtask`"),
            }
        }
        let prefix = match prefix {
            Some(prefix) => prefix,
            None => env::home_dir().context("no home folder: give --prefix DIR")?.join(".local"),
        };
        let bundle = static_bundle.unwrap_or_else(crate::workspace::default_bundle);
        let manifest = bundle.join(bundle::MANIFEST);
        ensure!(manifest.is_file(), "{} is not a bundle: it has no {}", bundle.display(), bundle::MANIFEST);
        Ok(Self { prefix, bundle, with_training })
    }

    /// Returns the names of the programs.
    pub(crate) fn programs(&self) -> &'static [&'static str] {
        if self.with_training { &["personaroute", "personaroute-train"] } else { &["personaroute"] }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::workspace;

    #[test]
    fn the_default_is_everything_below_the_users_folder_with_the_default_bundle() {
        let options = Options::parse(&[]).unwrap();
        assert!(options.prefix.ends_with(".local") && options.prefix.is_absolute());
        assert_eq!((options.bundle, options.with_training), (workspace::default_bundle(), true));
    }

    #[test]
    fn folders_are_named_and_must_make_sense() {
        let own = workspace::default_bundle();
        let bundle = own.to_str().unwrap();
        let options = Options::parse(&["--prefix", "/opt/p", "--without-training", "--static-bundle", bundle]).unwrap();
        assert_eq!((options.prefix.as_path(), options.bundle.as_path()), (Path::new("/opt/p"), own.as_path()));
        assert_eq!(options.programs(), ["personaroute"]);
        let error = |arguments: &[&str]| Options::parse(arguments).unwrap_err().to_string();
        assert_eq!(error(&["--prefix"]), "--prefix needs a folder");
        assert_eq!(error(&["--static-bundle", "/"]), "/ is not a bundle: it has no manifest.yaml");
        assert_eq!(error(&["--root"]), "install: `--root` is not an option: see `cargo xtask`");
    }
}
