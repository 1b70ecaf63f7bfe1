//! The functions that the plugin imports: one file for each WIT interface.
//!
//! The plugin is not trusted: every list it passes is bounded, and every product of its numbers is checked for overflow.

mod encoder;
mod inference;
mod log;
mod users;
