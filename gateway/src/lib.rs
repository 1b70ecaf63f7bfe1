//! An OpenAI-compatible gateway that routes each request to the LLM its user is best served by.
//!
//! In reading order, from the wire inwards; a module only names those above it.

pub mod api;
pub mod decide;
pub mod config;
pub mod state;
pub mod routing;
pub mod upstream;
pub mod telemetry;
pub mod learning;
pub mod proxy;
pub mod server;
pub mod admin;
pub mod app;
pub mod cli;
pub mod command;
