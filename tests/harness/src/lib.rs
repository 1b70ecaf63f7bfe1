//! What the tests of the whole lean on: paths, built parts, a fake upstream that counts and records, Python.

pub mod path;
pub mod python;
pub mod upstream;
pub mod wire;
