//! The LLM that last answered each conversation, in a bounded cache.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;

/// Most conversations; an entry has about 100 bytes.
const CONVERSATIONS: u64 = 100_000;

/// The conversations of this process.
#[derive(Debug)]
pub(super) struct Sessions {
    cache: Cache<u64, (Arc<str>, Instant)>,
    /// Randomly seeded, so that no client can construct a collision with another conversation.
    hasher: RandomState,
}

/// The id of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SessionId(u64);

impl Default for Sessions {
    fn default() -> Self {
        Self { cache: Cache::new(CONVERSATIONS), hasher: RandomState::new() }
    }
}

impl Sessions {
    /// Returns the id of conversation `thread` of `user` with the virtual model `model`. Ids differ between keys, so that
    /// clients without a user cannot affect the conversations of others.
    pub(super) fn id(&self, key: &str, model: &str, user: Option<&str>, thread: &str) -> SessionId {
        SessionId(self.hasher.hash_one((key, model, user, thread)))
    }

    /// Returns the LLM that answered last, unless that was more than `expiry` before `now`.
    pub(super) fn llm(&self, id: SessionId, expiry: Duration, now: Instant) -> Option<Arc<str>> {
        let (llm, at) = self.cache.get(&id.0)?;
        (now.saturating_duration_since(at) <= expiry).then_some(llm)
    }

    /// Records that `llm` answered at `now`.
    pub(super) fn record(&self, id: SessionId, llm: Arc<str>, now: Instant) {
        self.cache.insert(id.0, (llm, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_belongs_to_its_key_and_user_and_expires() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let ada = sessions.id("k", "auto", Some("ada"), "hello");
        assert_ne!(ada, sessions.id("k", "auto", Some("bob"), "hello"));
        assert_ne!(ada, sessions.id("k", "auto", Some("ada"), "hello you"));
        assert_ne!(ada, sessions.id("other", "auto", Some("ada"), "hello"));
        sessions.record(ada, Arc::from("GPT-4o"), now);
        let expiry = Duration::from_secs(60);
        assert_eq!(sessions.llm(ada, expiry, now + expiry).as_deref(), Some("GPT-4o"));
        assert_eq!(sessions.llm(ada, expiry, now + expiry * 2), None);
    }
}
