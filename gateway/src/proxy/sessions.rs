//! Which LLM last answered a conversation. Bounded: the conversations not heard of longest are forgotten first.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;

/// Most conversations; an entry is about 100 bytes.
const CONVERSATIONS: u64 = 100_000;

/// The conversations of this process.
#[derive(Debug)]
pub(super) struct Sessions {
    cache: Cache<u64, (Arc<str>, Instant)>,
    /// Seeded at random, so that nobody can write a conversation that collides with another's.
    hasher: RandomState,
}

/// A conversation's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SessionId(u64);

impl Default for Sessions {
    fn default() -> Self {
        Self { cache: Cache::new(CONVERSATIONS), hasher: RandomState::new() }
    }
}

impl Sessions {
    /// Names the conversation that `thread` stands for, of `user` with the virtual model `model`. Names are each `key`'s
    /// own: keys without a user would else steer one another's conversations.
    pub(super) fn id(&self, key: &str, model: &str, user: Option<&str>, thread: &str) -> SessionId {
        SessionId(self.hasher.hash_one((key, model, user, thread)))
    }

    /// Returns the LLM that answered last, unless that is longer than `expiry` before `now`.
    pub(super) fn llm(&self, id: SessionId, expiry: Duration, now: Instant) -> Option<Arc<str>> {
        let (llm, at) = self.cache.get(&id.0)?;
        (now.saturating_duration_since(at) <= expiry).then_some(llm)
    }

    /// Notes that `llm` answered at `now`.
    pub(super) fn record(&self, id: SessionId, llm: Arc<str>, now: Instant) {
        self.cache.insert(id.0, (llm, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_its_users_and_expires() {
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
