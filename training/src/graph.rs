//! The heterogeneous graph as the network reads it: users' edges to answers, and query nodes with their text.
//!
//! Ratings themselves stay flat columns ([`crate::train::estimate::observed`]), and edges between similar queries are a
//! kernel ([`crate::train::features`]).

pub mod sample;
pub mod text;
