//! What is known about a user, and the interactions it is learned from.

use personaroute_host as host;
use pyo3::exceptions::PyValueError;
use pyo3::{PyResult, pyclass, pymethods};

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

    /// Share of the prior's variance that the interactions have removed, 0 to 1.
    #[getter]
    fn certainty(&self) -> f32 {
        self.inner.certainty
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

/// One response of which a user said something.
#[pyclass(frozen, from_py_object, module = "personaroute")]
#[derive(Clone)]
pub(crate) struct Interaction {
    llm: String,
    value: f32,
    kind: host::InteractionKind,
    group: u64,
    task: host::TaskHint,
    text: Option<String>,
    weight: f32,
}

impl Interaction {
    /// Returns the interaction as `router` reads it: the text as features of its bundle.
    pub(crate) fn of(&self, router: &host::Router) -> Result<host::Interaction, host::RouteError> {
        let query = match &self.text {
            Some(text) => router.query_features(text)?,
            None => host::QueryFeatures::default(),
        };
        let Self { llm, value, kind, group, task, weight, .. } = self.clone();
        Ok(host::Interaction { llm, task, query, group, kind, value, weight })
    }
}

#[pymethods]
impl Interaction {
    #[new]
    #[pyo3(signature = (llm, value, *, kind="rating", group=0, task=None, text=None, weight=1.0))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn new(
        llm: String,
        value: f32,
        kind: &str,
        group: u64,
        task: Option<String>,
        text: Option<String>,
        weight: f32,
    ) -> PyResult<Self> {
        let kind = match kind {
            "rating" => host::InteractionKind::Rating,
            "choice" => host::InteractionKind::Choice,
            other => {
                let message = format!("kind: expected \"rating\" or \"choice\", found {other:?}");
                return Err(PyValueError::new_err(message));
            }
        };
        let task = task.map_or(host::TaskHint::Unknown, host::TaskHint::Declared);
        Ok(Self { llm, value, kind, group, task, text, weight })
    }
}
