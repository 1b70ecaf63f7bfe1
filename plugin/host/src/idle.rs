//! What is lent to one thread at a time: a thread gets back what it used last, which its core's caches still hold.

use std::thread::{self, ThreadId};

/// Things that nobody uses at the moment, each with the thread that used it last.
pub(crate) struct Idle<T>(Vec<(ThreadId, T)>);

impl<T> Idle<T> {
    /// Returns none of them.
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes out what this thread used last, else what was used last by whichever thread.
    pub(crate) fn take(&mut self) -> Option<T> {
        let own = thread::current().id();
        let last = self.0.len().checked_sub(1)?;
        let place = self.0.iter().rposition(|(user, _)| *user == own).unwrap_or(last);
        Some(self.0.remove(place).1)
    }

    /// Keeps what this thread has used.
    pub(crate) fn put(&mut self, thing: T) {
        self.0.push((thread::current().id(), thing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gets_back_what_it_used_last() {
        let mut idle = Idle::new();
        idle.put("first");
        idle.put("second");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| idle.put("other's"));
            other.join().unwrap();
        });
        assert_eq!([idle.take(), idle.take()], [Some("second"), Some("first")]);
        assert_eq!([idle.take(), idle.take()], [Some("other's"), None], "better than nothing");
    }
}
