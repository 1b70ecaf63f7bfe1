//! Accepting connections, securing them, and speaking HTTP/1.1 and HTTP/2 on them.

pub mod accept;
pub mod connection;
pub mod tls;
mod version;
mod stalled;
mod taken;
mod streams;
mod refusal;

pub use self::{accept::accept, connection::Connections};
