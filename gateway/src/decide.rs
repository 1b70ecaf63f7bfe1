//! Chooses the LLM for a request: pure functions over facts. Nothing here waits or does I/O.

pub mod capability;
pub mod spec;
pub mod exploration;
pub mod learned;
pub mod policy;
pub mod candidates;
pub mod fallback;
pub mod plan;
pub mod explore;
pub mod explain;

pub use self::{
    candidates::{Eligible, ExcludedCandidate, ExclusionReason, Requirements, eligible},
    capability::{Capability, RequiredCapabilities},
    exploration::{Exploration, Explore},
    fallback::FallbackReason,
    learned::Learned,
    plan::{Plan, Ranked},
    policy::{Constraints, Policy},
    spec::ModelSpec,
};
