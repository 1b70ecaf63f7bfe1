//! The server side: accepts connections, terminates TLS, and serves HTTP/1.1 and HTTP/2.

pub mod accept;
pub mod connection;
pub mod tls;
mod version;
mod request_stream;
mod write_deadline;
mod write_deadline_body;
mod active_streams;
mod request_check;
mod head_deadline;
mod unread_body;

pub use self::{accept::accept, connection::Connections, unread_body::ReturnedBody};
