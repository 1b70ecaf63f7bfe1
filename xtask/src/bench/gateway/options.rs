//! The options of `cargo xtask bench gateway`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// Rounds unless `--rounds` says otherwise.
const ROUNDS: usize = 50;

/// What is measured, and how often.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The gateway to measure; without one it is built.
    pub(super) binary: Option<PathBuf>,
    /// Its configuration, with placeholders; without one it gets the bench's own.
    pub(super) config: Option<PathBuf>,
    /// Another gateway that gets the same load in turns.
    pub(super) against: Option<PathBuf>,
    /// The configuration of the other gateway, with placeholders; without one it gets the same as the first.
    pub(super) against_config: Option<PathBuf>,
    /// The number of rounds.
    pub(super) rounds: usize,
}

impl Options {
    /// Reads the words after `bench gateway`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self { binary: None, config: None, against: None, against_config: None, rounds: ROUNDS };
        let mut words = words.iter();
        while let Some(option) = words.next() {
            let value = words.next().with_context(|| format!("{option} needs a value"))?;
            match *option {
                "--binary" => options.binary = Some(PathBuf::from(value)),
                "--config" => options.config = Some(PathBuf::from(value)),
                "--against" => options.against = Some(PathBuf::from(value)),
                "--against-config" => options.against_config = Some(PathBuf::from(value)),
                "--rounds" => options.rounds = value.parse().with_context(|| format!("--rounds {value}"))?,
                _ => bail!("`bench gateway` has no option {option}"),
            }
        }
        if options.against_config.is_some() && options.against.is_none() {
            bail!("--against-config needs --against");
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_takes_a_value_and_a_configuration_needs_its_gateway() {
        let options = Options::parse(&["--against", "old", "--against-config", "old.yaml", "--rounds", "9"]).unwrap();
        assert_eq!((options.against, options.rounds), (Some(PathBuf::from("old")), 9));
        for wrong in [&["--against"][..], &["--against-config", "old.yaml"], &["--rounds", "x"], &["old", "y"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
