//! The store in a file of its own, or in memory: a redb database either way.
//!
//! Deferred batches stay in the database's memory until a durable one. A page that redb frees keeps its bytes in the file,
//! so an erasure copies what is left into a new file, which replaces the old one.

mod table;
mod index;
mod read;
mod write;

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwapOption;
use redb::{Builder, Database, ReadTransaction, ReadableDatabase, WriteTransaction, backends::InMemoryBackend};

use super::{Bounds, Durability, Put, RawStore, Reader, Removed};
use crate::learning::{
    clock,
    error::StoreError,
    record::{Decision, Declared, Interaction, Page, Signal, UserData},
};

/// The database's own cache: hot pages of the indexes.
const CACHE: usize = 16 << 20;

/// The file's mode: what users like is nobody else's business.
const MODE: u32 = 0o600;

/// The database that the writer and the readers use. An erasure, or a failure, replaces it.
type Shared = Arc<ArcSwapOption<Database>>;

/// A store in one redb database.
pub(super) struct EmbeddedStore {
    /// The file; none for a store in memory.
    path: Option<PathBuf>,
    database: Shared,
    batch: Option<WriteTransaction>,
    bounds: Bounds,
    /// Whether the batch has erased a user.
    has_erased: bool,
}

impl EmbeddedStore {
    /// Opens the file at `path`, created with mode 0600 when absent. Only one process at a time can open it.
    pub(super) fn open(path: &Path, bounds: Bounds) -> Result<Self, StoreError> {
        let named = |error| match error {
            StoreError::Database(source) => StoreError::File { path: path.to_path_buf(), source },
            other @ (StoreError::File { .. } | StoreError::Thread(_)) => other,
        };
        let database = create(Some(path)).map_err(named)?;
        let mut store = Self::with_database(Some(path.to_path_buf()), database, bounds);
        store.finish_erasure().map_err(named)?;
        Ok(store)
    }

    /// Returns an empty store in memory.
    pub(super) fn in_memory(bounds: Bounds) -> Result<Self, StoreError> {
        Ok(Self::with_database(None, create(None)?, bounds))
    }

    fn with_database(path: Option<PathBuf>, database: Database, bounds: Bounds) -> Self {
        let database = Arc::new(ArcSwapOption::from_pointee(database));
        Self { path, database, batch: None, bounds, has_erased: false }
    }

    /// Copies the rows into a new file if an erasure was interrupted before it could.
    fn finish_erasure(&mut self) -> Result<(), StoreError> {
        let temporary = self.temporary();
        if let Some(left) = temporary.filter(|file| file.exists()) {
            std::fs::remove_file(left).map_err(redb::Error::Io)?;
        }
        let is_needed = read::is_erasing(&self.read()?)?;
        if is_needed { self.rewrite() } else { Ok(()) }
    }

    /// Copies all rows into a new database, which replaces the old one, so that no byte of removed rows is left.
    fn rewrite(&mut self) -> Result<(), StoreError> {
        let temporary = self.temporary();
        let fresh = create(temporary.as_deref())?;
        write::copy(&self.read()?, &fresh)?;
        if let (Some(from), Some(to)) = (&temporary, &self.path) {
            std::fs::rename(from, to).map_err(redb::Error::Io)?;
            let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            // The new name must survive a crash before the erasure is acknowledged.
            std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(redb::Error::Io)?;
        }
        self.database.store(Some(Arc::new(fresh)));
        Ok(())
    }

    fn temporary(&self) -> Option<PathBuf> {
        let mut name = self.path.clone()?.into_os_string();
        name.push(".new");
        Some(PathBuf::from(name))
    }

    fn read(&self) -> Result<ReadTransaction, StoreError> {
        read(&self.database)
    }

    fn batch(&self) -> Result<&WriteTransaction, StoreError> {
        self.batch.as_ref().ok_or_else(closed)
    }

    /// Returns the database; after a failure the file is opened again.
    fn reopened(&self) -> Result<Arc<Database>, StoreError> {
        if let Some(open) = self.database.load_full() {
            return Ok(open);
        }
        let opened = Arc::new(create(self.path.as_deref())?);
        self.database.store(Some(Arc::clone(&opened)));
        Ok(opened)
    }

    /// Forgets a database that has failed: after one error of the disk, redb fails every transaction.
    fn failed<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_err() {
            self.batch = None;
            // A database in memory has no second life.
            if self.path.is_some() {
                self.database.store(None);
            }
        }
        result
    }

    fn try_commit(&mut self, durability: Durability) -> Result<(), StoreError> {
        let Some(mut batch) = self.batch.take() else { return Err(closed()) };
        let has_erased = std::mem::take(&mut self.has_erased);
        batch.set_durability(match durability {
            Durability::Deferred if !has_erased => redb::Durability::None,
            Durability::Deferred | Durability::Durable => redb::Durability::Immediate,
        })?;
        batch.commit()?;
        if has_erased { self.rewrite() } else { Ok(()) }
    }
}

impl RawStore for EmbeddedStore {
    fn begin(&mut self) -> Result<(), StoreError> {
        let begun = self.reopened().and_then(|database| Ok(database.begin_write()?));
        self.batch = Some(self.failed(begun)?);
        self.has_erased = false;
        Ok(())
    }

    fn commit(&mut self, durability: Durability) -> Result<(), StoreError> {
        let committed = self.try_commit(durability);
        self.failed(committed)
    }

    fn put_decision(&mut self, decision: &Decision) -> Result<(), StoreError> {
        let put = self.batch().and_then(|batch| write::put_decision(batch, decision, &self.bounds));
        self.failed(put)
    }

    fn decision(&mut self, id: &str) -> Result<Option<Decision>, StoreError> {
        let oldest = clock::now().saturating_sub(clock::millis(self.bounds.window));
        let found = self.batch().and_then(|batch| read::decision(&batch.open_table(table::DECISIONS)?, id));
        let found = self.failed(found)?;
        Ok(found.filter(|decision| decision.time >= oldest))
    }

    fn put_signal(&mut self, user: &str, signal: &Signal, idempotency: Option<&str>) -> Result<Put, StoreError> {
        let bounds = self.bounds;
        let put = self.batch().and_then(|batch| write::put_signal(batch, user, signal, idempotency, &bounds));
        self.failed(put)
    }

    fn remove_signals(&mut self, user: &str, decision: &str) -> Result<Removed, StoreError> {
        let removed = self.batch().and_then(|batch| write::remove_signals(batch, user, decision));
        self.failed(removed)
    }

    fn declare(&mut self, user: &str, declared: Option<Declared>) -> Result<(), StoreError> {
        let done = self.batch().and_then(|batch| index::declare(batch, user, declared));
        self.failed(done)
    }

    fn erase(&mut self, user: &str) -> Result<Removed, StoreError> {
        let erased = self.batch().and_then(|batch| write::erase(batch, user));
        self.has_erased = true;
        self.failed(erased)
    }

    fn user(&mut self, user: &str) -> Result<UserData, StoreError> {
        let data = self.batch().and_then(|batch| {
            let mut data = UserData { declared: index::user(batch, user)?.declared, ..UserData::default() };
            data.signals = read::signals(&batch.open_table(table::SIGNALS)?, user)?;
            let decisions = batch.open_table(table::DECISIONS)?;
            data.decisions = read::decisions(&batch.open_table(table::USER_DECISIONS)?, &decisions, user)?;
            Ok(data)
        });
        self.failed(data)
    }

    fn users(&mut self, after: Option<&str>, most: usize) -> Result<Page<String>, StoreError> {
        let page = self.batch().and_then(|batch| read::users(&batch.open_table(table::USERS)?, after, most));
        self.failed(page)
    }

    fn interactions(&mut self, since: u64, after: Option<&str>, most: usize) -> Result<Page<Interaction>, StoreError> {
        let page = self.batch().and_then(|batch| {
            let times = batch.open_table(table::SIGNAL_TIMES)?;
            read::interactions(&times, &batch.open_table(table::SIGNALS)?, read::From { since, after }, most)
        });
        self.failed(page)
    }

    fn expire(&mut self, now: u64) -> Result<Removed, StoreError> {
        let bounds = self.bounds;
        let removed = self.batch().and_then(|batch| write::expire(batch, now, &bounds));
        self.failed(removed)
    }

    fn is_durable(&self) -> bool {
        self.path.is_some()
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(EmbeddedReader { database: Arc::clone(&self.database) }))
    }
}

/// Reads what is committed.
struct EmbeddedReader {
    database: Shared,
}

impl Reader for EmbeddedReader {
    fn signals(&mut self, user: &str) -> Result<UserData, StoreError> {
        let snapshot = read(&self.database)?;
        let found = snapshot.open_table(table::USERS)?;
        let row = read::user(&found, user)?;
        let signals = match row.signals {
            0 => Vec::new(),
            _ => read::signals(&snapshot.open_table(table::SIGNALS)?, user)?,
        };
        Ok(UserData { declared: row.declared, signals, decisions: Vec::new() })
    }
}

fn read(database: &Shared) -> Result<ReadTransaction, StoreError> {
    let open = database.load_full().ok_or_else(closed)?;
    Ok(open.begin_read()?)
}

fn closed() -> StoreError {
    StoreError::Database(Box::new(redb::Error::DatabaseClosed))
}

/// Opens the database at `path`, or one in memory, and creates its tables.
fn create(path: Option<&Path>) -> Result<Database, StoreError> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    let database = match path {
        Some(path) => {
            // Created here because redb would create it with the umask's mode.
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).open(path);
            drop(file.map_err(redb::Error::Io)?);
            builder.create(path)?
        }
        None => builder.create_with_backend(InMemoryBackend::new())?,
    };
    let batch = database.begin_write()?;
    table::create_all(&batch)?;
    batch.commit()?;
    Ok(database)
}

#[cfg(test)]
mod tests;
