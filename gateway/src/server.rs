//! Accepting connections, securing them, and speaking HTTP/1.1 and HTTP/2 on them.

pub mod accept;
pub mod connection;
pub mod tls;
mod version;
mod timeout_stream;
mod write_deadline;
mod active_streams;
mod request_check;

pub use self::{accept::accept, connection::Connections};
