//! What outlives the process.

mod store_url;
mod shared;

use std::path::PathBuf;

pub use self::{
    shared::{SharedStore, Topology},
    store_url::{Login, Node},
};
use super::{error::Rejection, folder::Folder, raw, secret::Env};

/// Where spending is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The file that keeps spending; none forgets it with the process.
    pub file: Option<PathBuf>,
    /// The store in which several gateways share their budgets; none enforces budgets in this process alone.
    pub shared: Option<SharedStore>,
}

impl State {
    /// Checks the state; its paths are relative to `folder`.
    pub(super) fn check(raw: &raw::State, folder: &Folder<'_>, env: Env<'_>) -> Result<Self, Rejection> {
        let shared = raw.shared.as_ref().map(|shared| shared::check(shared, folder, env)).transpose()?;
        Ok(Self { file: raw.file.as_deref().map(|file| folder.resolve(file)), shared })
    }
}
