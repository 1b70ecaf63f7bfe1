//! A pool whose values return to the thread that used them last, because its core's caches still hold them.

use std::thread::{self, ThreadId};

/// The values not in use, each with the thread that used it last.
pub(crate) struct AffinityPool<T>(Vec<(ThreadId, T)>);

impl<T> AffinityPool<T> {
    /// Returns an empty pool.
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Removes and returns the value that this thread used last, or else the one returned most recently.
    pub(crate) fn take(&mut self) -> Option<T> {
        let own = thread::current().id();
        let last = self.0.len().checked_sub(1)?;
        let position = self.0.iter().rposition(|(user, _)| *user == own).unwrap_or(last);
        Some(self.0.remove(position).1)
    }

    /// Returns a value that this thread has used to the pool.
    pub(crate) fn put(&mut self, value: T) {
        self.0.push((thread::current().id(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gets_back_the_value_it_used_last() {
        let mut pool = AffinityPool::new();
        pool.put("first");
        pool.put("second");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| pool.put("other's"));
            other.join().unwrap();
        });
        assert_eq!([pool.take(), pool.take()], [Some("second"), Some("first")]);
        assert_eq!([pool.take(), pool.take()], [Some("other's"), None], "another thread's value is better than none");
    }
}
