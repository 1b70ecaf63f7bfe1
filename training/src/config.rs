//! Placeholder that is filled next.
