//! Spending in one file, written by a thread of its own.
//!
//! All reads are from memory. Writes gather while the thread commits the ones before, so that the disk's pace sets how
//! many share a commit, not how long a request waits. A process that is killed forgets at most the commit that was
//! under way; one that drains forgets nothing. While the disk refuses, requests go on, what they spend stays in memory,
//! and the file is opened anew until it takes everything.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{
    lock,
    store::{Memory, Spending, Store, random_writer},
};

/// Account → period, and USD as the bits of an `f64`.
const SPENDING: TableDefinition<'_, &str, (u64, u64)> = TableDefinition::new("spending");

/// The file's own name among those that share a store, at an empty key.
const WRITER: TableDefinition<'_, &str, &str> = TableDefinition::new("writer");

/// Pause before a disk that refused is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the state file {} cannot be used", path.display())]
pub struct DiskError {
    path: PathBuf,
    #[source]
    source: redb::Error,
}

/// Spending in a file; dropped, it writes what is left and closes the file.
#[derive(Debug)]
pub struct Disk {
    memory: Memory,
    desk: Arc<Desk>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer has yet to do.
#[derive(Debug, Default)]
struct Desk {
    pile: Mutex<Pile>,
    changed: Condvar,
    is_refused: AtomicBool,
}

/// Newest spending per account, none for those to remove.
#[derive(Debug, Default)]
struct Pile {
    changes: HashMap<String, Option<Spending>>,
    is_closing: bool,
}

impl Disk {
    /// Opens `path`, which is made when absent; only one process at a time can.
    ///
    /// # Errors
    ///
    /// Fails when the file is somebody else's, in use, or broken.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let refused = |source: redb::Error| DiskError { path: path.to_path_buf(), source };
        let database = Database::create(path).map_err(|error| refused(error.into()))?;
        let memory = load(&database).map_err(refused)?;
        let desk = Arc::<Desk>::default();
        let task = (Arc::clone(&desk), path.to_path_buf());
        let writer = std::thread::Builder::new().name("state".to_owned());
        let writer = writer.spawn(move || write(database, &task.0, &task.1));
        let writer = writer.map_err(|error| refused(redb::Error::Io(error)))?;
        Ok(Self { memory, desk, writer: Some(writer) })
    }

    fn put(&self, account: &str, change: Option<Spending>) {
        lock(&self.desk.pile).changes.insert(account.to_owned(), change);
        self.desk.changed.notify_one();
    }
}

impl Store for Disk {
    fn recall(&self, account: &str) -> Option<Spending> {
        self.memory.recall(account)
    }

    fn keep(&self, account: &str, spending: Spending) {
        self.memory.keep(account, spending);
        self.put(account, Some(spending));
    }

    fn learn(&self, account: &str, period: u64, usd: f64) {
        self.memory.learn(account, period, usd);
    }

    fn others(&self, account: &str, period: u64) -> f64 {
        self.memory.others(account, period)
    }

    fn of_periods(&self, periods: &[u64]) -> Vec<String> {
        self.memory.of_periods(periods)
    }

    fn writer(&self) -> &str {
        self.memory.writer()
    }

    fn forget(&self, is_over: &dyn Fn(Spending) -> bool) {
        for account in self.memory.matching(is_over) {
            self.put(&account, None);
        }
        self.memory.forget(is_over);
    }

    fn len(&self) -> usize {
        self.memory.len()
    }

    fn is_written(&self) -> bool {
        !self.desk.is_refused.load(Ordering::Relaxed)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        lock(&self.desk.pile).is_closing = true;
        self.desk.changed.notify_one();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing more to say.
            let _finished = writer.join();
        }
    }
}

fn load(database: &Database) -> Result<Memory, redb::Error> {
    let writing = database.begin_write()?;
    // Reading a table that was never written fails.
    writing.open_table(SPENDING)?;
    let mut named = writing.open_table(WRITER)?;
    let known = named.get("")?.map(|name| name.value().to_owned());
    let writer = match known {
        Some(writer) => writer,
        None => {
            let writer = random_writer();
            named.insert("", writer.as_str())?;
            writer
        }
    };
    drop(named);
    writing.commit()?;
    let memory = Memory::written_by(writer);
    let table = database.begin_read()?.open_table(SPENDING)?;
    for row in table.iter()? {
        let (account, spending) = row?;
        let (period, usd) = spending.value();
        memory.keep(account.value(), Spending { period, usd: f64::from_bits(usd) });
    }
    Ok(memory)
}

/// Commits what lies on the desk until it is closed and empty, or closed and the disk refuses.
fn write(database: Database, desk: &Desk, path: &Path) {
    let mut database = Some(database);
    while let Some(changes) = desk.take() {
        let accounts = changes.len();
        let Err(error) = commit_anew(&mut database, path, &changes) else {
            if desk.is_refused.swap(false, Ordering::Relaxed) {
                tracing::info!(path = %path.display(), accounts, "spending is written again");
            }
            continue;
        };
        if !desk.is_refused.swap(true, Ordering::Relaxed) {
            tracing::error!(path = %path.display(), %error, accounts, "spending cannot be written, it stays in memory");
        }
        if desk.put_back(changes) {
            tracing::error!(path = %path.display(), %error, accounts, "spending is lost with this process");
            return;
        }
    }
}

impl Desk {
    /// Waits for changes and takes them; none when it is closed and empty.
    fn take(&self) -> Option<HashMap<String, Option<Spending>>> {
        let pile = self.changed.wait_while(lock(&self.pile), |pile| pile.changes.is_empty() && !pile.is_closing);
        let changes = std::mem::take(&mut pile.unwrap_or_else(PoisonError::into_inner).changes);
        (!changes.is_empty()).then_some(changes)
    }

    /// Puts back what was not written, below what is newer, and waits a while; returns whether it is closed.
    fn put_back(&self, changes: HashMap<String, Option<Spending>>) -> bool {
        let mut pile = lock(&self.pile);
        for (account, change) in changes {
            pile.changes.entry(account).or_insert(change);
        }
        let waited = self.changed.wait_timeout_while(pile, PAUSE, |pile| !pile.is_closing);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closing
    }
}

/// Commits to the open file, or opens it anew: after one failure the database refuses everything.
fn commit_anew(
    database: &mut Option<Database>,
    path: &Path,
    changes: &HashMap<String, Option<Spending>>,
) -> Result<(), redb::Error> {
    let open = match database.take() {
        Some(open) => open,
        None => Database::create(path)?,
    };
    commit(&open, changes)?;
    *database = Some(open);
    Ok(())
}

fn commit(database: &Database, changes: &HashMap<String, Option<Spending>>) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    let mut table = writing.open_table(SPENDING)?;
    for (account, change) in changes {
        match change {
            Some(spending) => drop(table.insert(account.as_str(), (spending.period, spending.usd.to_bits()))?),
            None => drop(table.remove(account.as_str())?),
        }
    }
    drop(table);
    Ok(writing.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let disk = Disk::open(&path).unwrap();
        for cents in 0..100 {
            disk.keep("key:team", Spending { period: 7, usd: f64::from(cents) / 100.0 });
        }
        disk.keep("user:ada", Spending { period: 6, usd: 1.0 });
        let writer = disk.writer().to_owned();
        drop(disk);
        let disk = Disk::open(&path).unwrap();
        assert_eq!(disk.writer(), writer, "a restart is no new process to those who share a store");
        assert_eq!(disk.recall("key:team"), Some(Spending { period: 7, usd: 0.99 }));
        disk.forget(&|spending| spending.period < 7);
        drop(disk);
        let disk = Disk::open(&path).unwrap();
        assert_eq!(disk.recall("user:ada"), None);
        assert!(disk.recall("key:team").is_some());
    }

    #[test]
    fn a_file_in_use_or_of_something_else_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let first = Disk::open(&path).unwrap();
        let error = Disk::open(&path).unwrap_err();
        assert!(error.to_string().contains("state.redb"), "{error}");
        drop(first);
        assert!(Disk::open(&path).is_ok());
        let other = folder.path().join("other");
        std::fs::write(&other, "not a database, but long enough to be looked at for one").unwrap();
        assert!(Disk::open(&other).is_err());
    }
}
