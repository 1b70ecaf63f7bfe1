//! The one integration binary: the parts of the workspace together, over loopback, with the real native libraries.

#![cfg(test)]

mod fake;
mod gateway;
mod clients;
mod python;
mod demo;
mod document;
mod schema;
mod tables;
mod deploy;
mod checking;
mod host;
mod corpus;
mod program;
mod protocol;
