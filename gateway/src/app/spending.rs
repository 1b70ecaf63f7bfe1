//! Opens what outlives a request: the store of spending, and the key of the user ids in the log.

use std::sync::Arc;

use super::StartError;
use crate::{
    config::{Config, LogUsers},
    state::{FileStore, Ledger, MemoryStore, SpendingStore, StoreSync},
    telemetry::UserIds,
};

/// The opened state of a process.
pub(super) struct Opened {
    /// Enforces limits and budgets.
    pub(super) ledger: Arc<Ledger>,
    /// The task that talks to the shared store, if one is configured.
    pub(super) sync: Option<StoreSync>,
    /// How user ids are logged.
    pub(super) user_ids: UserIds,
}

/// Opens the state that `config` names.
pub(super) fn open(config: &Config) -> Result<Opened, StartError> {
    let file = config.state.file.as_deref().map(FileStore::open).transpose()?;
    let user_ids = match &config.log.users {
        LogUsers::Plain => UserIds::Plain,
        LogUsers::Hashed(Some(key)) => UserIds::hashed(key.expose().as_bytes()),
        LogUsers::Hashed(None) => match &file {
            Some(file) => UserIds::hashed(file.log_key()),
            None => UserIds::hashed(&rand::random::<[u8; 32]>()),
        },
    };
    let spending: Arc<dyn SpendingStore> = match file {
        Some(file) => Arc::new(file),
        None => Arc::<MemoryStore>::default(),
    };
    let max_accounts = config.limits.max_tracked_users;
    let Some(shared) = &config.state.shared else {
        return Ok(Opened { ledger: Arc::new(Ledger::new(max_accounts, spending)), sync: None, user_ids });
    };
    let (ledger, sync) = Ledger::with_shared_store(max_accounts, spending, shared)?;
    Ok(Opened { ledger: Arc::new(ledger), sync: Some(sync), user_ids })
}

/// Checks what can be checked without opening a file or a connection.
pub(super) fn check(config: &Config) -> Result<(), StartError> {
    if let Some(shared) = &config.state.shared {
        Ledger::with_shared_store(1, Arc::<MemoryStore>::default(), shared)?;
    }
    Ok(())
}
