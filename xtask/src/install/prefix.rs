//! Puts files below the prefix: whole or not at all, and only those that are new or have changed.

use std::fs::{self, File, Permissions};
use std::io::{BufReader, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A folder in which a tree is installed, and what was done there so far.
pub(crate) struct Prefix {
    root: PathBuf,
    written: usize,
    kept: usize,
    bytes: u64,
}

impl Prefix {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), written: 0, kept: 0, bytes: 0 }
    }

    /// Copies a file; programs and libraries stay executable.
    pub(crate) fn file(&mut self, from: &Path, to: &str) -> Result<()> {
        let place = self.root.join(to);
        let about = from.metadata().with_context(|| from.display().to_string())?;
        self.bytes += about.len();
        if is_equal(from, &place)? {
            self.kept += 1;
            return Ok(());
        }
        let beside = beside(&place)?;
        // The source may lie in a folder that is open to its owner alone.
        let mode = if about.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
        fs::copy(from, &beside).with_context(|| format!("{} to {}", from.display(), beside.display()))?;
        self.put(&beside, &place, mode)
    }

    /// Writes a text.
    pub(super) fn text(&mut self, text: &str, to: &str) -> Result<()> {
        let place = self.root.join(to);
        self.bytes += text.len() as u64;
        if fs::read(&place).is_ok_and(|old| old == text.as_bytes()) {
            self.kept += 1;
            return Ok(());
        }
        let beside = beside(&place)?;
        let mut file = File::create(&beside).with_context(|| beside.display().to_string())?;
        file.write_all(text.as_bytes()).with_context(|| beside.display().to_string())?;
        self.put(&beside, &place, 0o644)
    }

    /// Copies the files of a folder and of those in it.
    pub(crate) fn folder(&mut self, from: &Path, to: &str) -> Result<()> {
        for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
            let path = entry.with_context(|| from.display().to_string())?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let to = if to.is_empty() { name.into_owned() } else { format!("{to}/{name}") };
            if path.is_dir() { self.folder(&path, &to)? } else { self.file(&path, &to)? }
        }
        Ok(())
    }

    /// Says what was done.
    pub(super) fn report(&self, took: Duration) {
        let (root, written, kept) = (self.root.display(), self.written, self.kept);
        let (megabytes, seconds) = (self.bytes / 1_000_000, took.as_secs());
        eprintln!("install: {written} files written, {kept} were there: {megabytes} MB in {root}, after {seconds} s");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let programs = self.root.join("bin");
        if !std::env::split_paths(&path).any(|folder| folder == programs) {
            eprintln!("install: add {} to your PATH", programs.display());
        }
    }

    /// Renames, so that a program that runs keeps its old file.
    fn put(&mut self, beside: &Path, place: &Path, mode: u32) -> Result<()> {
        fs::set_permissions(beside, Permissions::from_mode(mode)).with_context(|| beside.display().to_string())?;
        fs::rename(beside, place).with_context(|| place.display().to_string())?;
        self.written += 1;
        Ok(())
    }
}

/// Returns where a file is written before it is whole, in its folder, which is made.
fn beside(place: &Path) -> Result<PathBuf> {
    let folder = place.parent().context("an installed file has a folder")?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    Ok(folder.join(format!(".{name}.part")))
}

/// True when both are there with the same content.
fn is_equal(from: &Path, place: &Path) -> Result<bool> {
    let Ok(installed) = File::open(place) else { return Ok(false) };
    let made = File::open(from).with_context(|| from.display().to_string())?;
    let length = |file: &File| file.metadata().map(|about| about.len());
    if length(&made).ok() != length(&installed).ok() {
        return Ok(false);
    }
    let (mut made, mut installed) = (BufReader::new(made), BufReader::new(installed));
    let (mut ours, mut theirs) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = |file: &mut BufReader<File>, buffer: &mut Vec<u8>| -> std::io::Result<()> {
            buffer.clear();
            file.take(1 << 20).read_to_end(buffer).map(|_| ())
        };
        read(&mut made, &mut ours).with_context(|| from.display().to_string())?;
        read(&mut installed, &mut theirs).with_context(|| place.display().to_string())?;
        if ours != theirs || ours.is_empty() {
            return Ok(ours == theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_writes_only_what_changed() {
        let folder = std::env::temp_dir().join(format!("xtask-prefix-{}", std::process::id()));
        let (source, root) = (folder.join("source"), folder.join("root"));
        fs::create_dir_all(source.join("below")).unwrap();
        fs::write(source.join("program"), "one").unwrap();
        fs::set_permissions(source.join("program"), Permissions::from_mode(0o700)).unwrap();
        fs::write(source.join("below/page"), "text").unwrap();
        let install = || {
            let mut prefix = Prefix::new(&root);
            prefix.file(&source.join("program"), "bin/program").unwrap();
            prefix.folder(&source, "share").unwrap();
            prefix.text("licence", "share/LICENSE").unwrap();
            (prefix.written, prefix.kept)
        };
        let runs = [install(), install()];
        // As long as before, so that only a look at the content finds it.
        fs::write(source.join("program"), "two").unwrap();
        let changed = install();
        let program = root.join("bin/program");
        let found = (fs::read_to_string(&program).unwrap(), program.metadata().unwrap().permissions().mode() & 0o777);
        let page = fs::read_to_string(root.join("share/below/page")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((runs, changed), ([(4, 0), (0, 4)], (2, 2)));
        assert_eq!((found, page), (("two".to_owned(), 0o755), "text".to_owned()));
    }
}
