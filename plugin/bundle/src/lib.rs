//! The model bundle: what training writes and a host reads.
//!
//! A bundle is a folder: `manifest.yaml` names and describes the rest (see [`manifest`]), `scorer.onnx` and
//! `adapter.onnx` are the graphs, `users.safetensors` and `users.idx` the user table, `llms.yaml` and `tasks.yaml` the
//! catalog. The feature encoding ([`lexical`], [`interaction`]) is part of this crate, because training and the plugin must
//! agree on it.
//!
//! Without the feature `files` the crate is the feature encoding alone, without dependencies, for the plugin.

#![warn(missing_docs)]

pub mod interaction;
pub mod lexical;

#[cfg(feature = "files")]
pub mod catalog;
#[cfg(feature = "files")]
pub mod digest;
#[cfg(feature = "files")]
pub mod embed;
#[cfg(feature = "files")]
pub mod error;
#[cfg(feature = "files")]
pub mod folder;
#[cfg(feature = "files")]
pub mod layout;
#[cfg(feature = "files")]
pub mod manifest;
#[cfg(feature = "files")]
pub mod source;
#[cfg(feature = "files")]
pub mod users;
#[cfg(feature = "files")]
mod yaml;

#[cfg(feature = "files")]
pub use self::error::BundleError;
