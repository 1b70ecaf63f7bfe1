//! The models that can be trained, by the name that the configuration's `model` and `--model` use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A way to train a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ModelKind {
    /// Alternating least squares, covariance estimation and kernel ridge regression, without gradient descent.
    ClosedForm,
    /// Messages between users, tasks, queries and LLMs, learned by gradient descent.
    #[default]
    Gnn,
}

/// Names that later versions will know.
const PLANNED: [&str; 1] = ["published"];

impl ModelKind {
    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClosedForm => "closed_form",
            Self::Gnn => "gnn",
        }
    }
}

impl FromStr for ModelKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "closed_form" => Ok(Self::ClosedForm),
            "gnn" => Ok(Self::Gnn),
            _ if PLANNED.contains(&name) => {
                Err(format!("the model `{name}` is not available in this version; expected closed_form or gnn"))
            }
            _ => Err(format!("unknown model `{name}`; expected closed_form or gnn")),
        }
    }
}

impl TryFrom<String> for ModelKind {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<ModelKind> for String {
    fn from(kind: ModelKind) -> Self {
        kind.as_str().to_owned()
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
