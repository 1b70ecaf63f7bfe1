//! What is known of users, in memory and bounded.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use personaroute_host::Profile;

use crate::decide::Learned;

/// How long an entry is used without a look into a store that other gateways write to.
const SHARED_FRESH: Duration = Duration::from_millis(500);

/// What is known of one user, as of one look into the store.
#[derive(Debug, Clone)]
pub struct Known {
    /// The profile; none if the router's own is used.
    pub profile: Option<Profile>,
    /// The preference of requests that declare none; none for the profile's.
    pub preference: Option<f32>,
    /// What was learned; none if nothing.
    pub learned: Option<Learned>,
    /// The bundle whose embedding space the profile is in.
    pub(super) bundle: Arc<str>,
    /// When the store was read.
    pub(super) read: Instant,
}

/// The profiles of this process.
#[derive(Debug)]
pub(super) struct ProfileCache {
    entries: Cache<Arc<str>, Arc<Known>>,
    /// How long an entry is fresh; none for as long as it is kept.
    fresh: Option<Duration>,
}

impl ProfileCache {
    /// Returns an empty cache of at most `most` users.
    pub(super) fn new(most: u64, is_shared: bool) -> Self {
        Self { entries: Cache::new(most), fresh: is_shared.then_some(SHARED_FRESH) }
    }

    /// Returns what is known of `user` in the embedding space of `bundle`, whether fresh or not.
    pub(super) fn any(&self, user: &str, bundle: &str) -> Option<Arc<Known>> {
        self.entries.get(user).filter(|known| &*known.bundle == bundle)
    }

    /// Returns whether `known` needs no look into the store at `now`.
    pub(super) fn is_fresh(&self, known: &Known, now: Instant) -> bool {
        self.fresh.is_none_or(|fresh| now.saturating_duration_since(known.read) < fresh)
    }

    /// Replaces what is known of `user`.
    pub(super) fn insert(&self, user: Arc<str>, known: Arc<Known>) {
        self.entries.insert(user, known);
    }

    /// Forgets `user`, so that the next request looks into the store.
    pub(super) fn forget(&self, user: &str) {
        self.entries.invalidate(user);
    }

    /// Forgets everybody: some signals have expired.
    pub(super) fn forget_all(&self) {
        self.entries.invalidate_all();
    }
}
