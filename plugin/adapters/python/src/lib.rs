//! The extension module `personaroute._native`: the embeddable router with Python's types.
//!
//! Each call into the router releases the interpreter's lock. What a Python program imports is the package
//! `personaroute`, which finds the parts of a router and gives the calls their defaults.

mod decision;
mod error;
mod profile;
mod request;
mod router;

use pyo3::pymodule;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::decision::{Decision, Score};
    #[pymodule_export]
    use crate::error::{OpenError, RouteError};
    #[pymodule_export]
    use crate::profile::{Interaction, Profile};
    #[pymodule_export]
    use crate::request::{Candidate, Request};
    #[pymodule_export]
    use crate::router::Router;
}
