//! Deciding which LLM answers: pure functions over facts; nothing here waits or does I/O.

pub mod capability;
pub mod offer;
pub mod policy;
pub mod candidates;
pub mod fallback;
pub mod plan;
pub mod explain;

pub use self::{
    candidates::{Demand, Eligible, LeftOut, Reason, eligible},
    capability::{Capability, Needs},
    fallback::Degraded,
    offer::Offer,
    plan::{Plan, Ranked},
    policy::{Constraints, Policy},
};
