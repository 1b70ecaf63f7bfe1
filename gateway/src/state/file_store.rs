//! Spending in a file, written by its own thread.
//!
//! Reads are served from memory. Changes are collected while the thread commits the previous ones, so a slow disk means
//! larger commits and never a slower request. A process that is killed loses at most the commit in progress and the
//! changes collected behind it; one that drains loses nothing. While writes fail, requests are served, their spending
//! stays in memory, and the file is reopened until a write succeeds.

use std::{
    collections::HashMap,
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
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
    lock::lock,
    spending_store::{MemoryStore, Spending, SpendingStore, random_instance_id},
};

/// Budget key → period, and USD as the bits of an `f64`.
const SPENDING: TableDefinition<'_, &str, (u64, u64)> = TableDefinition::new("spending");

/// The process's id in a shared store, at an empty key.
const INSTANCE: TableDefinition<'_, &str, &str> = TableDefinition::new("instance");

/// The key of the hash of user ids in the log, at an empty key.
const LOG_KEY: TableDefinition<'_, &str, [u8; 32]> = TableDefinition::new("log_key");

/// Pause before a failed write is retried.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The file's mode: names of keys and users are nobody else's business.
const MODE: u32 = 0o600;

/// The state file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the state file {} cannot be used", path.display())]
pub struct FileStoreError {
    path: PathBuf,
    #[source]
    source: redb::Error,
}

/// Spending in a file. Dropping it writes the remaining changes and closes the file.
#[derive(Debug)]
pub struct FileStore {
    memory: MemoryStore,
    log_key: [u8; 32],
    queue: Arc<WriteQueue>,
    writer: Option<JoinHandle<()>>,
}

/// Changes that the writer thread has yet to commit.
#[derive(Debug, Default)]
struct WriteQueue {
    pending: Mutex<PendingWrites>,
    changed: Condvar,
    has_failed: AtomicBool,
}

/// The newest spending by key; none for a key to remove.
type Changes = HashMap<String, Option<Spending>>;

#[derive(Debug, Default)]
struct PendingWrites {
    changes: Changes,
    is_closing: bool,
}

impl FileStore {
    /// Opens the file at `path`, created with mode 0600 when absent. Only one process at a time can open it.
    ///
    /// # Errors
    ///
    /// Fails when the file is not accessible, in use, damaged, or no state file.
    pub fn open(path: &Path) -> Result<Self, FileStoreError> {
        let failed = |source: redb::Error| FileStoreError { path: path.to_path_buf(), source };
        let database = open_database(path).map_err(failed)?;
        let memory = load(&database).map_err(failed)?;
        let log_key = load_log_key(&database).map_err(failed)?;
        let queue = Arc::<WriteQueue>::default();
        let (for_writer, path_for_writer) = (Arc::clone(&queue), path.to_path_buf());
        let thread = std::thread::Builder::new().name("state".to_owned());
        let writer = thread.spawn(move || run_writer(database, &for_writer, &path_for_writer));
        let writer = writer.map_err(|error| failed(redb::Error::Io(error)))?;
        Ok(Self { memory, log_key, queue, writer: Some(writer) })
    }

    /// Returns the random key of the hash of user ids in the log, which the file keeps.
    pub fn log_key(&self) -> &[u8; 32] {
        &self.log_key
    }

    fn enqueue(&self, key: &str, change: Option<Spending>) {
        lock(&self.queue.pending).changes.insert(key.to_owned(), change);
        self.queue.changed.notify_one();
    }
}

impl SpendingStore for FileStore {
    fn own(&self, key: &str) -> Option<Spending> {
        self.memory.own(key)
    }

    fn set_own(&self, key: &str, spending: Spending) {
        self.memory.set_own(key, spending);
        self.enqueue(key, Some(spending));
    }

    fn set_others(&self, key: &str, period: u64, usd: f64) {
        self.memory.set_others(key, period, usd);
    }

    fn others(&self, key: &str, period: u64) -> f64 {
        self.memory.others(key, period)
    }

    fn keys_in(&self, periods: &[u64]) -> Vec<String> {
        self.memory.keys_in(periods)
    }

    fn instance_id(&self) -> &str {
        self.memory.instance_id()
    }

    fn remove_expired(&self, is_expired: &dyn Fn(Spending) -> bool) {
        for key in self.memory.keys_where(is_expired) {
            self.enqueue(&key, None);
        }
        self.memory.remove_expired(is_expired);
    }

    fn len(&self) -> usize {
        self.memory.len()
    }

    fn is_persisted(&self) -> bool {
        !self.queue.has_failed.load(Ordering::Relaxed)
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        lock(&self.queue.pending).is_closing = true;
        self.queue.changed.notify_one();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to write.
            let _finished = writer.join();
        }
    }
}

fn open_database(path: &Path) -> Result<Database, redb::Error> {
    // Created here because redb would create it with the umask's mode.
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).open(path);
    drop(file.map_err(redb::Error::Io)?);
    Ok(Database::create(path)?)
}

fn load(database: &Database) -> Result<MemoryStore, redb::Error> {
    let transaction = database.begin_write()?;
    // Creates the table: opening an absent one for reading fails.
    transaction.open_table(SPENDING)?;
    let mut instance = transaction.open_table(INSTANCE)?;
    let saved = instance.get("")?.map(|id| id.value().to_owned());
    let id = match saved {
        Some(id) => id,
        None => {
            let id = random_instance_id();
            instance.insert("", id.as_str())?;
            id
        }
    };
    drop(instance);
    transaction.commit()?;
    let memory = MemoryStore::with_instance_id(id);
    let table = database.begin_read()?.open_table(SPENDING)?;
    for row in table.iter()? {
        let (key, spending) = row?;
        let (period, usd) = spending.value();
        memory.set_own(key.value(), Spending { period, usd: f64::from_bits(usd) });
    }
    Ok(memory)
}

/// Returns the key of the file; a file without one gets a random key.
fn load_log_key(database: &Database) -> Result<[u8; 32], redb::Error> {
    let transaction = database.begin_write()?;
    let mut table = transaction.open_table(LOG_KEY)?;
    let saved = table.get("")?.map(|key| key.value());
    let key = match saved {
        Some(key) => key,
        None => {
            let key = rand::random();
            table.insert("", key)?;
            key
        }
    };
    drop(table);
    transaction.commit()?;
    Ok(key)
}

/// Commits changes until the queue is closed and empty, or closed while writes fail.
fn run_writer(database: Database, queue: &WriteQueue, path: &Path) {
    let mut database = Some(database);
    while let Some(changes) = queue.take() {
        let keys = changes.len();
        let Err(error) = commit_or_reopen(&mut database, path, &changes) else {
            if queue.has_failed.swap(false, Ordering::Relaxed) {
                tracing::info!(path = %path.display(), keys, "spending is persisted again");
            }
            continue;
        };
        if !queue.has_failed.swap(true, Ordering::Relaxed) {
            tracing::error!(path = %path.display(), %error, keys, "spending cannot be persisted, it is kept in memory");
        }
        if queue.put_back(changes) {
            tracing::error!(path = %path.display(), %error, keys, "unpersisted spending is lost at exit");
            return;
        }
    }
}

impl WriteQueue {
    /// Waits for changes and takes them; none when the queue is closed and empty.
    fn take(&self) -> Option<Changes> {
        let wait =
            self.changed.wait_while(lock(&self.pending), |pending| pending.changes.is_empty() && !pending.is_closing);
        let changes = std::mem::take(&mut wait.unwrap_or_else(PoisonError::into_inner).changes);
        (!changes.is_empty()).then_some(changes)
    }

    /// Puts back changes that were not written, unless there are newer ones, and waits for `RETRY_DELAY`; returns
    /// whether the queue is closed.
    fn put_back(&self, changes: Changes) -> bool {
        let mut pending = lock(&self.pending);
        for (key, change) in changes {
            pending.changes.entry(key).or_insert(change);
        }
        let wait = self.changed.wait_timeout_while(pending, RETRY_DELAY, |pending| !pending.is_closing);
        wait.unwrap_or_else(PoisonError::into_inner).0.is_closing
    }
}

/// Commits to the open database, or reopens it first: after one I/O error redb fails every transaction.
fn commit_or_reopen(database: &mut Option<Database>, path: &Path, changes: &Changes) -> Result<(), redb::Error> {
    let open = match database.take() {
        Some(open) => open,
        None => open_database(path)?,
    };
    commit(&open, changes)?;
    *database = Some(open);
    Ok(())
}

fn commit(database: &Database, changes: &Changes) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let mut table = transaction.open_table(SPENDING)?;
    for (key, change) in changes {
        match change {
            Some(spending) => drop(table.insert(key.as_str(), (spending.period, spending.usd.to_bits()))?),
            None => drop(table.remove(key.as_str())?),
        }
    }
    drop(table);
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn spending_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let store = FileStore::open(&path).unwrap();
        for cents in 0..100 {
            store.set_own("key:team", Spending { period: 7, usd: f64::from(cents) / 100.0 });
        }
        store.set_own("user:ada", Spending { period: 6, usd: 1.0 });
        let (id, log_key) = (store.instance_id().to_owned(), *store.log_key());
        drop(store);
        let store = FileStore::open(&path).unwrap();
        assert_eq!(store.instance_id(), id, "a restarted process keeps its id in the shared store");
        assert_eq!(*store.log_key(), log_key, "the log has the same hash for a user after a restart");
        assert_eq!(store.own("key:team"), Some(Spending { period: 7, usd: 0.99 }));
        store.remove_expired(&|spending| spending.period < 7);
        drop(store);
        let store = FileStore::open(&path).unwrap();
        assert_eq!(store.own("user:ada"), None);
        assert!(store.own("key:team").is_some());
    }

    #[test]
    fn a_new_file_is_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        drop(FileStore::open(&path).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_in_use_or_of_another_format_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let first = FileStore::open(&path).unwrap();
        let error = FileStore::open(&path).unwrap_err();
        assert!(error.to_string().contains("state.redb"), "{error}");
        drop(first);
        assert!(FileStore::open(&path).is_ok());
        let other = folder.path().join("other");
        std::fs::write(&other, "not a database, but long enough to be looked at for one").unwrap();
        assert!(FileStore::open(&other).is_err());
    }
}
