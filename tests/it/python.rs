//! The Python package, and the Python programs that load it: LiteLLM's proxy, LangChain, LlamaIndex.

mod package;
mod seed;
mod frameworks;
mod litellm;

use serde_json::Value;

/// Runs a script with the package on the search path and returns the JSON that it printed.
fn seen(script: &str, arguments: &[String]) -> Value {
    let package = personaroute_harness::python_package::PythonPackage::assemble().unwrap();
    serde_json::from_str(&package.run(script, arguments).unwrap()).unwrap()
}
