//! Python's exceptions for the errors of the router.

use pyo3::exceptions::{PyRuntimeError, PyTimeoutError, PyValueError};
use pyo3::{PyErr, create_exception};

create_exception!(personaroute, OpenError, PyRuntimeError, "The bundle, the plugin or ONNX Runtime cannot be opened.");
create_exception!(personaroute, RouteError, PyRuntimeError, "The plugin or the model failed; the router stays usable.");

/// Returns the exception for an error of opening.
#[expect(clippy::needless_pass_by_value, reason = "the argument of `map_err`")]
pub(crate) fn open(error: personaroute_host::OpenError) -> PyErr {
    OpenError::new_err(error.to_string())
}

/// Returns the exception for an error of a call: `ValueError` for a bad request, `TimeoutError` past the deadline.
#[expect(clippy::needless_pass_by_value, reason = "the argument of `map_err`")]
pub(crate) fn route(error: personaroute_host::RouteError) -> PyErr {
    use personaroute_host::RouteError as Error;
    let text = error.to_string();
    match error {
        Error::InvalidRequest(_) => PyValueError::new_err(text),
        Error::Timeout => PyTimeoutError::new_err(text),
        Error::Trapped { .. }
        | Error::OutOfMemory
        | Error::InvalidDecision(_)
        | Error::Inference(_)
        | Error::Overloaded
        | Error::Plugin(_) => RouteError::new_err(text),
    }
}
