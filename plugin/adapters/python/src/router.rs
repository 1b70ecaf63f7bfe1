//! The router: opened once, asked from any thread.

use std::path::PathBuf;
use std::time::Duration;

use personaroute_host as host;
use pyo3::types::PyAny;
use pyo3::{Bound, Py, PyResult, Python, pyclass, pymethods};

use crate::decision::Decision;
use crate::error;
use crate::profile::{Interaction, Profile};
use crate::request::{Candidate, Request};

/// Decides which LLM serves a request.
#[pyclass(frozen, module = "personaroute")]
pub(crate) struct Router {
    inner: host::Router,
    catalog: Vec<host::Candidate>,
}

#[pymethods]
impl Router {
    #[new]
    #[pyo3(signature = (bundle, plugin, onnxruntime=None, *, encoder=None, deadline_seconds=None))]
    fn new(
        py: Python<'_>,
        bundle: PathBuf,
        plugin: PathBuf,
        onnxruntime: Option<PathBuf>,
        encoder: Option<PathBuf>,
        deadline_seconds: Option<f64>,
    ) -> PyResult<Self> {
        let mut options = host::RouterOptions::new(bundle, plugin);
        options.onnxruntime = onnxruntime;
        options.encoder = encoder;
        if let Some(seconds) = deadline_seconds {
            let deadline = Duration::try_from_secs_f64(seconds);
            options.limits.deadline = deadline
                .map_err(|_| pyo3::exceptions::PyValueError::new_err("deadline_seconds: expected seconds above 0"))?;
        }
        let inner = py.detach(|| host::Router::open(&options)).map_err(error::open)?;
        let catalog = inner.bundle().catalog.llms.iter().map(host::Candidate::from_catalog).collect();
        Ok(Self { inner, catalog })
    }

    /// Ranks the candidates of one request, best first.
    fn route(&self, py: Python<'_>, request: &Bound<'_, Request>) -> PyResult<Decision> {
        let request = request.get().inner();
        let decision = py.detach(|| self.inner.route(request)).map_err(error::route)?;
        Ok(Decision::from(&decision))
    }

    /// Returns a decision or an exception for each request, in order; they share runs of the scorer.
    #[expect(clippy::needless_pass_by_value, reason = "Python's arguments are owned")]
    fn route_batch(&self, py: Python<'_>, requests: Vec<Py<Request>>) -> PyResult<Vec<Py<PyAny>>> {
        let requests: Vec<host::RouteRequest> = requests.iter().map(|request| request.get().inner().clone()).collect();
        let results = py.detach(|| self.inner.route_batch(&requests));
        let object = |result: Result<host::Decision, host::RouteError>| match result {
            Ok(decision) => Ok(Py::new(py, Decision::from(&decision))?.into_any()),
            Err(error) => Ok(error::route(error).into_value(py).into_any()),
        };
        results.into_iter().map(object).collect()
    }

    /// Returns the profile of a user after these interactions, which `profile` does not know yet.
    #[expect(clippy::needless_pass_by_value, reason = "Python's arguments are owned")]
    fn adapt(&self, py: Python<'_>, profile: &Profile, interactions: Vec<Interaction>) -> PyResult<Profile> {
        let adapt = || {
            let interactions: Result<Vec<host::Interaction>, _> =
                interactions.iter().map(|interaction| interaction.of(&self.inner)).collect();
            self.inner.adapt(profile.inner(), &interactions?)
        };
        let adapted = py.detach(adapt).map_err(error::route)?;
        Ok(adapted.into())
    }

    /// Returns the profile that the bundle's user table has for `user`; `None` for a user never seen.
    fn profile(&self, user: &str) -> Option<Profile> {
        self.inner.profile(user).map(Profile::from)
    }

    /// Returns the profile of a user without interactions: the population prior.
    fn prior(&self) -> Profile {
        self.inner.prior().into()
    }

    /// The rewards of the training data: the least and the largest.
    #[getter]
    fn reward_range(&self) -> (f32, f32) {
        let [low, high] = self.inner.bundle().manifest.reward_range;
        (low, high)
    }

    /// The LLMs of the bundle's catalog, with their prices.
    #[getter]
    fn catalog(&self) -> Vec<Candidate> {
        self.catalog.iter().map(Candidate::from).collect()
    }

    /// What the upstream of each LLM calls it: pairs of LLM and name, in the catalog's order.
    #[getter]
    fn models(&self) -> Vec<(String, String)> {
        let llms = self.inner.bundle().catalog.llms.iter();
        llms.map(|llm| (llm.id.clone(), llm.model.clone())).collect()
    }

    /// The names of the bundle's tasks.
    #[getter]
    fn tasks(&self) -> Vec<String> {
        self.inner.bundle().tasks.tasks.iter().map(|task| task.name.clone()).collect()
    }
}
