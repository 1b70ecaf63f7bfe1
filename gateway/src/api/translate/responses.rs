//! Translates OpenAI responses: their requests to chat completions (and from there to messages), and messages back to them.
//!
//! A chat completion becomes a message first, so that one translator writes responses for every kind of upstream.

pub mod request;
mod item;
mod content;
mod tool;
mod reasoning;
pub mod expected;
mod output;
mod message;
pub mod stream;
pub mod whole;
