//! How opening a router, and routing with it, can fail.

use std::path::PathBuf;

use personaroute_bundle::BundleError;

/// Why a router cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bundle is damaged, or of a version this host does not read.
    #[error("the model bundle is refused")]
    Bundle(#[from] BundleError),
    /// The plugin file cannot be read.
    #[error("the plugin {} cannot be read", path.display())]
    PluginFile {
        /// The plugin file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The plugin is not a component of the world `personaroute:router/router`.
    #[error("{} is not a routing plugin: {reason}", path.display())]
    Plugin {
        /// The plugin file.
        path: PathBuf,
        /// What the WASM runtime said.
        reason: String,
    },
    /// The WASM engine cannot be set up, as when the limits need more address space than there is.
    #[error("the wasm engine cannot start: {0}")]
    Engine(String),
    /// ONNX Runtime cannot be loaded.
    #[error("{0}")]
    OnnxRuntime(String),
    /// A graph cannot be loaded, or is not what the manifest says.
    #[error("graph {graph}: {reason}")]
    Graph {
        /// The graph's name: `scorer`, `adapter`, `encoder`.
        graph: String,
        /// What is wrong, with what was expected.
        reason: String,
    },
    /// The bundle needs a text encoder and none is found, or it does not fit the bundle.
    #[error("text encoder: {0}")]
    Encoder(String),
    /// The provider was not compiled in, or the machine does not have it.
    #[error("provider {provider}: {reason}")]
    Provider {
        /// The provider asked for.
        provider: &'static str,
        /// Why it cannot be used.
        reason: String,
    },
    /// A limit is zero or out of range.
    #[error("limit {name}: {reason}")]
    Limit {
        /// The field of `Limits`.
        name: &'static str,
        /// What it must be.
        reason: &'static str,
    },
}

/// Why a request got no decision. The router itself stays usable after each of them.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RouteError {
    /// The request breaks a rule of `RouteRequest`; says which.
    #[error("invalid request: {0}")]
    InvalidRequest(String),
    /// The call's time was used up.
    #[error("the decision took longer than its deadline")]
    Timeout,
    /// The plugin stopped in a trap.
    #[error("the plugin trapped: {reason}")]
    Trapped {
        /// The trap, as the WASM runtime names it.
        reason: String,
    },
    /// The plugin asked for more memory than it may use.
    #[error("the plugin reached its memory limit")]
    OutOfMemory,
    /// The plugin returned something that is not a decision on this request.
    #[error("the plugin's decision is invalid: {0}")]
    InvalidDecision(DecisionFault),
    /// The model runtime or the text encoder failed.
    #[error("inference failed: {0}")]
    Inference(String),
    /// Too many calls, or too many texts waiting for the encoder.
    #[error("the router is at its limit of concurrent work")]
    Overloaded,
    /// The plugin refused for a reason of its own.
    #[error("the plugin refused: {0}")]
    Plugin(String),
}

impl RouteError {
    /// Returns a low-cardinality name for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::Timeout => "timeout",
            Self::Trapped { .. } => "trapped",
            Self::OutOfMemory => "out_of_memory",
            Self::InvalidDecision(_) => "invalid_decision",
            Self::Inference(_) => "inference",
            Self::Overloaded => "overloaded",
            Self::Plugin(_) => "plugin",
        }
    }
}

/// What is wrong with a decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecisionFault {
    /// A candidate is not ranked.
    #[error("candidate {0} is missing")]
    MissingCandidate(String),
    /// A position is ranked that the request does not have.
    #[error("there is no candidate {0}")]
    UnknownCandidate(u32),
    /// There are scores for more or fewer candidates than the request has.
    #[error("{got} values of {field} for {expected} candidates")]
    ScoreCount {
        /// The score's field.
        field: &'static str,
        /// Candidates of the request.
        expected: usize,
        /// Values of the plugin.
        got: usize,
    },
    /// A candidate is ranked twice.
    #[error("candidate {0} is ranked twice")]
    DuplicateCandidate(String),
    /// A score is NaN or infinite.
    #[error("{field} of {llm} is not finite")]
    NotFinite {
        /// The candidate.
        llm: String,
        /// The score's field.
        field: &'static str,
    },
    /// A number is outside its range.
    #[error("{field} is out of range")]
    OutOfRange {
        /// The decision's field.
        field: &'static str,
    },
    /// A text or list is longer than it may be.
    #[error("{field} is too long")]
    TooLong {
        /// The decision's field.
        field: &'static str,
    },
    /// A batch did not get one result for each request.
    #[error("{got} results for {expected} requests")]
    ResultCount {
        /// Requests of the batch.
        expected: usize,
        /// Results of the plugin.
        got: usize,
    },
    /// An adapted profile's embedding has another length than the bundle's users.
    #[error("the profile has {got} dimensions instead of {expected}")]
    ProfileDim {
        /// The bundle's `user_dim`.
        expected: usize,
        /// Length of the embedding returned.
        got: usize,
    },
}
