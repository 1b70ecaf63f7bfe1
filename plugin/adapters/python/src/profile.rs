//! What is known about a user, and the interactions it is learned from.

use personaroute_host as host;
use pyo3::{pyclass, pymethods};

/// A user as the scorer receives it.
#[pyclass(frozen, from_py_object, module = "personaroute")]
#[derive(Clone)]
pub(crate) struct Profile {
    inner: host::Profile,
}

#[pymethods]
impl Profile {
    /// The user's embedding.
    #[getter]
    fn embedding(&self) -> Vec<f32> {
        self.inner.embedding.clone()
    }

    /// `known`, `adapted`, `new` or `anonymous`.
    #[getter]
    fn state(&self) -> &'static str {
        self.inner.state.as_str()
    }

    /// Number of interactions behind the embedding.
    #[getter]
    fn interactions(&self) -> u32 {
        self.inner.interactions
    }

    /// Estimated weight of effect against cost, 0 to 1; `None` if unknown.
    #[getter]
    fn preference(&self) -> Option<f32> {
        self.inner.preference
    }

    fn __repr__(&self) -> String {
        let host::Profile { state, interactions, .. } = &self.inner;
        format!("Profile(state={:?}, interactions={interactions})", state.as_str())
    }
}

impl From<host::Profile> for Profile {
    fn from(inner: host::Profile) -> Self {
        Self { inner }
    }
}

impl From<Profile> for host::Profile {
    fn from(profile: Profile) -> Self {
        profile.inner
    }
}

impl Profile {
    pub(crate) fn inner(&self) -> &host::Profile {
        &self.inner
    }
}

/// One response that a user rated.
#[pyclass(frozen, from_py_object, module = "personaroute")]
#[derive(Clone)]
pub(crate) struct Interaction {
    inner: host::Interaction,
}

impl Interaction {
    pub(crate) fn inner(&self) -> &host::Interaction {
        &self.inner
    }
}

#[pymethods]
impl Interaction {
    #[new]
    #[pyo3(signature = (llm, reward, *, query=0, task=None))]
    fn new(llm: String, reward: f32, query: u64, task: Option<String>) -> Self {
        Self { inner: host::Interaction { llm, task, query, reward } }
    }
}
