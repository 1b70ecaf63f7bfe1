//! The books of what is spent: in memory or in a file, alone or together with other gateways.

use std::sync::Arc;

use super::StartError;
use crate::{
    config::Config,
    state::{Courier, Disk, Ledger, Memory, Store},
};

/// Opens the books, and what tells a shared store of them.
pub(super) fn open(config: &Config) -> Result<(Arc<Ledger>, Option<Courier>), StartError> {
    let store: Arc<dyn Store> = match &config.state.file {
        Some(file) => Arc::new(Disk::open(file)?),
        None => Arc::<Memory>::default(),
    };
    let most = config.limits.max_tracked_users;
    let Some(shared) = &config.state.shared else { return Ok((Arc::new(Ledger::new(most, store)), None)) };
    let (ledger, courier) = Ledger::sharing(most, store, shared)?;
    Ok((Arc::new(ledger), Some(courier)))
}

/// Checks what can be checked without opening anything.
pub(super) fn check(config: &Config) -> Result<(), StartError> {
    if let Some(shared) = &config.state.shared {
        Ledger::sharing(1, Arc::<Memory>::default(), shared)?;
    }
    Ok(())
}
