//! The wire formats of clients and upstreams. Only the fields that the gateway uses are parsed; the rest stays bytes.

pub mod wire;
pub mod fields;
mod harness;
pub mod content;
pub mod facts;
pub mod chat;
pub mod completions;
pub mod responses;
pub mod messages;
mod parse;
pub mod overrides;
pub mod route;
pub mod feedback;
pub mod models;
pub mod error;
pub mod error_code;
pub mod sse;
pub mod translate;
pub mod usage;

pub use self::{
    error::{ErrorBody, Invalid},
    facts::{Facts, LastMessage, Reference},
    fields::{Document, Fields},
    overrides::Overrides,
    usage::Usage,
    wire::Wire,
};
