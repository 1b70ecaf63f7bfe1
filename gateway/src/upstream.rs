//! The services that answer: how a request reaches them and how its failure reads.

pub mod body;
pub mod failure;
mod connection_pool;
pub mod http_client;
pub mod breaker;
pub mod load;
pub mod simulated;
pub mod translated;
pub mod client;
pub mod probe;
pub mod registry;

pub use self::{
    body::Body,
    breaker::{Breaker, Circuit},
    client::{Protocol, Upstream, UpstreamRequest},
    failure::Failure,
    load::{InFlight, Load},
    registry::{Endpoint, Llm, ModelRegistry},
    simulated::SimulatedRequest,
};
