//! The errors of opening a router and of routing with it.

use personaroute_bundle::BundleError;

/// Why a router cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bundle is missing or damaged, or has a version that this host does not support.
    #[error("the model bundle is refused")]
    Bundle(#[from] BundleError),
    /// The plugin file cannot be read.
    #[error("the plugin {plugin} cannot be read")]
    PluginFile {
        /// The plugin file, or `embedded plugin`.
        plugin: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The plugin is not a component of the world `personaroute:router/router`.
    #[error("{plugin} is not a routing plugin: {reason}")]
    Plugin {
        /// The plugin file, or `embedded plugin`.
        plugin: String,
        /// The error of the WASM runtime.
        reason: String,
    },
    /// The WASM engine cannot be created, for instance because the limits need more address space than there is.
    #[error("the wasm engine cannot start: {0}")]
    Engine(String),
    /// ONNX Runtime cannot be loaded.
    #[error("{0}")]
    OnnxRuntime(String),
    /// A graph cannot be loaded, or its inputs or outputs differ from the manifest.
    #[error("graph {graph}: {reason}")]
    Graph {
        /// The graph's name: `scorer`, `adapter`, `encoder`.
        graph: String,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// The bundle needs a text encoder, and none was found or it does not match the bundle.
    #[error("text encoder: {0}")]
    Encoder(String),
    /// The execution provider is not compiled in, or the machine has no such device.
    #[error("provider {provider}: {reason}")]
    Provider {
        /// The provider in the options.
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

/// Why a request could not be decided. The router stays usable after each of these errors.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RouteError {
    /// The request violates a rule of `RouteRequest`; the text names it.
    #[error("invalid request: {0}")]
    InvalidRequest(String),
    /// The call did not finish before its deadline.
    #[error("the decision took longer than its deadline")]
    Timeout,
    /// The plugin trapped.
    #[error("the plugin trapped: {reason}")]
    Trapped {
        /// The trap, as the WASM runtime names it.
        reason: String,
    },
    /// The plugin tried to grow its memory past the limit.
    #[error("the plugin reached its memory limit")]
    OutOfMemory,
    /// The plugin returned an invalid result.
    #[error("the plugin's decision is invalid: {0}")]
    InvalidDecision(DecisionFault),
    /// The model runtime or the text encoder failed.
    #[error("inference failed: {0}")]
    Inference(String),
    /// Too many calls are in progress, or too many texts wait for the encoder.
    #[error("the router is at its limit of concurrent work")]
    Overloaded,
    /// The plugin returned an error of its own.
    #[error("the plugin refused: {0}")]
    Plugin(String),
}

impl RouteError {
    /// Returns the name of the error in metric labels.
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

/// Why a decision is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecisionFault {
    /// A candidate is not ranked.
    #[error("candidate {0} is missing")]
    MissingCandidate(String),
    /// The ranking contains a position that no candidate has.
    #[error("there is no candidate {0}")]
    UnknownCandidate(u32),
    /// The number of scores differs from the number of candidates.
    #[error("{got} values of {field} for {expected} candidates")]
    ScoreCount {
        /// The score's field.
        field: &'static str,
        /// Candidates of the request.
        expected: usize,
        /// Values that the plugin returned.
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
    /// A text or list exceeds its limit.
    #[error("{field} is too long")]
    TooLong {
        /// The decision's field.
        field: &'static str,
    },
    /// The plugin did not return one result for each request of a batch.
    #[error("{got} results for {expected} requests")]
    ResultCount {
        /// Requests of the batch.
        expected: usize,
        /// Results that the plugin returned.
        got: usize,
    },
    /// The embedding of a profile does not have the bundle's dimension.
    #[error("the profile has {got} dimensions instead of {expected}")]
    ProfileDim {
        /// The bundle's `user_dim`.
        expected: usize,
        /// Length of the embedding returned.
        got: usize,
    },
}
