//! The services behind the plugin's imports: the bundle, the model runtime, the text encoder.

use crate::{
    Profile, UserState,
    bundle::folder::Bundle,
    encoder::Encoder,
    infer::{Backend, signature::Signature},
};

/// Shared by all calls of a router.
pub(crate) struct Services {
    pub(crate) bundle: Bundle,
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) encoder: Option<Encoder>,
    scorer: Signature,
    adapter: Signature,
}

impl Services {
    pub(crate) fn new(bundle: Bundle, backend: Box<dyn Backend>, encoder: Option<Encoder>) -> Self {
        let graphs = &bundle.manifest.graphs;
        let (scorer, adapter) = (Signature::from(&graphs.scorer), Signature::from(&graphs.adapter));
        Self { bundle, backend, encoder, scorer, adapter }
    }

    /// Returns the inputs and outputs of `graph`.
    pub(crate) fn signature(&self, graph: &str) -> Option<&Signature> {
        match graph {
            "scorer" => Some(&self.scorer),
            "adapter" => Some(&self.adapter),
            _ => None,
        }
    }

    /// Returns the profile that the user table has for `user`.
    pub(crate) fn profile(&self, user: &str) -> Option<Profile> {
        let row = self.bundle.users.get(user)?;
        Some(Profile {
            embedding: row.embedding,
            state: UserState::Known,
            interactions: row.interactions,
            preference: row.preference,
            certainty: row.certainty,
        })
    }
}
