//! How many log messages one call may still write.

/// Counts the messages of one call against its limit.
pub(crate) struct LogBudget {
    left: u32,
    dropped: u32,
}

impl LogBudget {
    /// Returns a budget of `messages` messages.
    pub(crate) fn new(messages: u32) -> Self {
        Self { left: messages, dropped: 0 }
    }

    /// Returns how many messages were dropped.
    pub(crate) fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Takes one message off the budget; false, and counted as dropped, when none is left.
    pub(crate) fn take(&mut self) -> bool {
        let Some(left) = self.left.checked_sub(1) else {
            self.dropped = self.dropped.saturating_add(1);
            return false;
        };
        self.left = left;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_past_the_budget_are_counted_and_dropped() {
        let mut budget = LogBudget::new(2);
        let allowed: Vec<_> = (0..5).map(|_| budget.take()).collect();
        assert_eq!(allowed, [true, true, false, false, false]);
        assert_eq!(budget.dropped(), 3);
    }
}
