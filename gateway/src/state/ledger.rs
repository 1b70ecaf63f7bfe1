//! Who may make a request, and what it may spend.
//!
//! Rates and concurrency hold for this process alone. So does money, unless there is a [`Desk`]: then it is asked for at
//! the shared store, and the books of this process bound only what is spent while that is away.

use std::{sync::Arc, time::Instant};

use super::{
    account::Refusal,
    books::Books,
    shared::{Courier, Desk, LinkError},
    store::{Memory, Store},
    ticket::Ticket,
    untold::Untold,
};
use crate::config::{Quota, Shared};

/// The books of this process, and the desk at which it asks for more.
#[derive(Debug)]
pub struct Ledger {
    books: Arc<Books>,
    desk: Option<Arc<Desk>>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new(100_000, Arc::new(Memory::default()))
    }
}

impl Ledger {
    /// Returns a ledger of at most `most` accounts whose money `store` remembers.
    pub fn new(most: usize, store: Arc<dyn Store>) -> Self {
        Self { books: Arc::new(Books::new(most, store, None)), desk: None }
    }

    /// Returns a ledger whose budgets are shared with all who write to the store that `shared` names, and the task that
    /// talks to that store.
    ///
    /// # Errors
    ///
    /// Fails when the file of the store's authorities is of no use. Whether the store is there is not asked.
    pub fn sharing(most: usize, store: Arc<dyn Store>, shared: &Shared) -> Result<(Self, Courier), LinkError> {
        let untold = Arc::<Untold>::default();
        let books = Arc::new(Books::new(most, store, Some(Arc::clone(&untold))));
        let desk = Arc::new(Desk::new(shared.timeout));
        let courier = Courier::new(Arc::clone(&books), untold, Arc::clone(&desk), shared)?;
        Ok((Self { books, desk: Some(desk) }, courier))
    }

    /// Admits a request on every account of `holders`, all of which have limits, or on none.
    ///
    /// # Errors
    ///
    /// Fails with the first limit that is reached.
    pub fn enter(&self, holders: Vec<(String, Quota)>, now: Instant) -> Result<Ticket, Refusal> {
        self.books.enter(&holders, now)?;
        Ok(Ticket::new(Arc::clone(&self.books), self.desk.clone(), holders))
    }

    /// Returns how many accounts there are.
    pub fn len(&self) -> usize {
        self.books.open().len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
