//! Opens the store of spending: in memory or in a file, of one gateway or shared with others.

use std::sync::Arc;

use super::StartError;
use crate::{
    config::Config,
    state::{FileStore, Ledger, MemoryStore, SpendingStore, StoreSync},
};

/// Returns the ledger, and the task that talks to the shared store, if one is configured.
pub(super) fn open(config: &Config) -> Result<(Arc<Ledger>, Option<StoreSync>), StartError> {
    let spending: Arc<dyn SpendingStore> = match &config.state.file {
        Some(file) => Arc::new(FileStore::open(file)?),
        None => Arc::<MemoryStore>::default(),
    };
    let max_accounts = config.limits.max_tracked_users;
    let Some(shared) = &config.state.shared else {
        return Ok((Arc::new(Ledger::new(max_accounts, spending)), None));
    };
    let (ledger, sync) = Ledger::with_shared_store(max_accounts, spending, shared)?;
    Ok((Arc::new(ledger), Some(sync)))
}

/// Checks what can be checked without opening a file or a connection.
pub(super) fn check(config: &Config) -> Result<(), StartError> {
    if let Some(shared) = &config.state.shared {
        Ledger::with_shared_store(1, Arc::<MemoryStore>::default(), shared)?;
    }
    Ok(())
}
