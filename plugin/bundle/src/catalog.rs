//! The LLMs and tasks of the scorer's columns: `llms.yaml` and `tasks.yaml`.

use std::collections::HashSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{BundleError, Fields};
use crate::yaml;

/// The LLMs of a bundle, in the order of the scorer's columns.
///
/// ```
/// use personaroute_bundle::catalog::Catalog;
///
/// let yaml = "
/// llms:
/// - {id: small, model: small-1, input_price: 0.1, output_price: 0.4, description: A small model., capabilities: [tools]}
/// ";
/// let catalog = Catalog::parse(yaml.as_bytes(), "llms.yaml".as_ref())?;
/// assert_eq!(catalog.column("small"), Some(0));
/// assert_eq!(catalog.column("large"), None);
/// # Ok::<(), personaroute_bundle::BundleError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// One LLM per column.
    pub llms: Vec<Llm>,
}

/// An LLM of the scorer.
///
/// ```
/// use personaroute_bundle::catalog::{Capability, Llm};
///
/// let llm = Llm {
///     id: "small".into(),
///     model: "small-1".into(),
///     input_price: 0.1,
///     output_price: 0.4,
///     cached_input_price: None,
///     context_window: Some(128_000),
///     capabilities: vec![Capability::Tools],
///     description: "A small model.".into(),
/// };
/// assert!(llm.capabilities.contains(&Capability::Tools));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Llm {
    /// The id in requests and decisions; unique in the catalog.
    pub id: String,
    /// The name at its upstream.
    pub model: String,
    /// USD per million input tokens.
    pub input_price: f32,
    /// USD per million output tokens.
    pub output_price: f32,
    /// USD per million input tokens read from the upstream's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_price: Option<f32>,
    /// Most tokens of prompt and completion together; `None` if unbounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u32>,
    /// Capabilities beyond text in, text out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// A description, for people and for text embeddings.
    pub description: String,
}

/// A capability of an LLM beyond text in, text out.
///
/// ```
/// use personaroute_bundle::catalog::Capability;
///
/// assert_ne!(Capability::Vision, Capability::Audio);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Reads images.
    Vision,
    /// Reads or writes audio.
    Audio,
    /// Calls tools.
    Tools,
    /// Returns JSON of a given schema.
    Json,
    /// Reasons before it responds.
    Reasoning,
}

/// The tasks of a bundle, in the order of the scorer's task columns.
///
/// ```
/// use personaroute_bundle::catalog::Tasks;
///
/// let tasks = Tasks::parse(b"tasks: [{name: math, description: Sums.}]", "tasks.yaml".as_ref())?;
/// assert_eq!(tasks.column("math"), Some(0));
/// # Ok::<(), personaroute_bundle::BundleError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tasks {
    /// One task per column.
    pub tasks: Vec<Task>,
}

/// A kind of query.
///
/// ```
/// use personaroute_bundle::catalog::Task;
///
/// let task = Task { name: "math".into(), description: "Sums.".into() };
/// assert_eq!(task.name, "math");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The name in requests; unique.
    pub name: String,
    /// A description, for people and for text embeddings.
    pub description: String,
}

impl Catalog {
    /// Parses and checks the content of `file`, which only errors name.
    ///
    /// # Errors
    ///
    /// [`BundleError::Syntax`] or [`BundleError::Field`], with the line or the field.
    pub fn parse(content: &[u8], file: &Path) -> Result<Self, BundleError> {
        let catalog: Self = yaml::parse(content, file)?;
        catalog.check(file)?;
        Ok(catalog)
    }

    /// Renders the catalog as YAML.
    ///
    /// # Errors
    ///
    /// [`BundleError::Syntax`] when a value cannot be written as YAML.
    pub fn to_yaml(&self) -> Result<String, BundleError> {
        yaml::render(self, "llms.yaml".as_ref())
    }

    /// Returns the scorer's column of the LLM with this id. Linear search.
    pub fn column(&self, id: &str) -> Option<usize> {
        self.llms.iter().position(|llm| llm.id == id)
    }

    fn check(&self, file: &Path) -> Result<(), BundleError> {
        let fields = Fields::of(file);
        fields.check("llms", !self.llms.is_empty(), "at least one", 0)?;
        check_names(&fields, "llms", "id", self.llms.iter().map(|llm| llm.id.as_str()))?;
        for (idx, llm) in self.llms.iter().enumerate() {
            let price = |name: &str, price: f32| {
                let field = format_args!("llms[{idx}].{name}");
                fields.check(field, price.is_finite() && price >= 0.0, "a finite price of at least 0", price)
            };
            price("input_price", llm.input_price)?;
            price("output_price", llm.output_price)?;
            price("cached_input_price", llm.cached_input_price.unwrap_or(0.0))?;
            let window = format_args!("llms[{idx}].context_window");
            fields.check(window, llm.context_window != Some(0), "at least 1, or no such key", 0)?;
        }
        Ok(())
    }
}

impl Tasks {
    /// Parses and checks the content of `file`, which only errors name.
    ///
    /// # Errors
    ///
    /// [`BundleError::Syntax`] or [`BundleError::Field`], with the line or the field.
    pub fn parse(content: &[u8], file: &Path) -> Result<Self, BundleError> {
        let tasks: Self = yaml::parse(content, file)?;
        check_names(&Fields::of(file), "tasks", "name", tasks.tasks.iter().map(|task| task.name.as_str()))?;
        Ok(tasks)
    }

    /// Renders the tasks as YAML.
    ///
    /// # Errors
    ///
    /// [`BundleError::Syntax`] when a value cannot be written as YAML.
    pub fn to_yaml(&self) -> Result<String, BundleError> {
        yaml::render(self, "tasks.yaml".as_ref())
    }

    /// Returns the scorer's column of the task with this name. Linear search.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.tasks.iter().position(|task| task.name == name)
    }
}

/// Refuses an empty name, and a name given twice.
fn check_names<'name>(
    fields: &Fields<'_>,
    list: &str,
    key: &str,
    names: impl Iterator<Item = &'name str>,
) -> Result<(), BundleError> {
    let mut seen = HashSet::new();
    for (idx, name) in names.enumerate() {
        let field = format_args!("{list}[{idx}].{key}");
        fields.check(field, !name.is_empty(), "a name", "an empty string")?;
        fields.check(field, seen.insert(name), "a unique name", name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T>(parsed: Result<T, BundleError>) -> String {
        parsed.err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn llms(entries: &str) -> String {
        refusal(Catalog::parse(format!("llms: [{entries}]").as_bytes(), "llms.yaml".as_ref()))
    }

    #[test]
    fn catalog_survives_yaml() {
        let llm = |id: &str, window| Llm {
            id: id.into(),
            model: format!("{id}: \"x\"\n# not a comment"),
            input_price: 0.1,
            output_price: 3.0,
            cached_input_price: Some(1e-7),
            context_window: window,
            capabilities: vec![Capability::Vision, Capability::Json],
            description: String::new(),
        };
        let catalog = Catalog { llms: vec![llm("null", None), llm("1.0", Some(7))] };
        let yaml = catalog.to_yaml().unwrap();
        assert_eq!(Catalog::parse(yaml.as_bytes(), "llms.yaml".as_ref()).unwrap(), catalog, "{yaml}");
    }

    #[test]
    fn tasks_survive_yaml() {
        let tasks = Tasks { tasks: vec![Task { name: "true".into(), description: "a\n\nb ".into() }] };
        let yaml = tasks.to_yaml().unwrap();
        assert_eq!(Tasks::parse(yaml.as_bytes(), "tasks.yaml".as_ref()).unwrap(), tasks, "{yaml}");
    }

    #[test]
    fn bad_values_are_refused_by_name() {
        let llm = |id: &str, price: &str| {
            format!("{{id: {id}, model: m, input_price: {price}, output_price: 1, description: d}}")
        };
        assert!(llms(&llm("a", "-1")).contains("llms.yaml: llms[0].input_price: expected a finite price"));
        assert!(llms(&llm("a", ".nan")).contains("llms[0].input_price"));
        let twice = format!("{}, {}", llm("a", "1"), llm("a", "1"));
        assert!(llms(&twice).contains("llms[1].id: expected a unique name, found a"));
        assert!(llms(&llm("''", "1")).contains("llms[0].id: expected a name"));
        assert!(
            refusal(Tasks::parse(b"tasks: [{name: a, description: d, x: 1}]", "tasks.yaml".as_ref())).contains('x')
        );
    }

    #[test]
    fn unknown_keys_are_refused_with_their_place() {
        let refused = refusal(Catalog::parse(b"llms: []\nmodels: []", "some/llms.yaml".as_ref()));
        assert!(refused.starts_with("some/llms.yaml: ") && refused.contains("models"), "{refused}");
    }
}
