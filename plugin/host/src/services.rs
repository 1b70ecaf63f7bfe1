//! What the host's imports work with: the bundle, the model runtime, the encoder.

use crate::{
    Profile, UserState,
    bundle::folder::Bundle,
    encoder::Encoder,
    infer::{Backend, contract::Contract},
};

/// Shared by all calls of a router.
pub(crate) struct Services {
    pub(crate) bundle: Bundle,
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) encoder: Option<Encoder>,
    scorer: Contract,
    adapter: Contract,
}

impl Services {
    pub(crate) fn new(bundle: Bundle, backend: Box<dyn Backend>, encoder: Option<Encoder>) -> Self {
        let graphs = &bundle.manifest.graphs;
        let (scorer, adapter) = (Contract::from(&graphs.scorer), Contract::from(&graphs.adapter));
        Self { bundle, backend, encoder, scorer, adapter }
    }

    /// Returns what `graph` takes and gives.
    pub(crate) fn contract(&self, graph: &str) -> Option<&Contract> {
        match graph {
            "scorer" => Some(&self.scorer),
            "adapter" => Some(&self.adapter),
            _ => None,
        }
    }

    /// Returns the user table's row of `user`.
    pub(crate) fn profile(&self, user: &str) -> Option<Profile> {
        let row = self.bundle.users.get(user)?;
        Some(Profile {
            embedding: row.embedding,
            state: UserState::Known,
            interactions: row.interactions,
            preference: row.preference,
        })
    }
}
