//! Upstreams: the services that serve LLMs, how requests reach them, and how their failures are reported.

pub mod body;
pub mod failure;
mod socket;
mod connector;
mod connection_pool;
pub mod http_client;
pub mod breaker;
pub mod load;
pub mod simulated;
pub mod translated;
pub mod protocol;
pub mod request;
pub mod client;
pub mod probe;
pub mod registry;

pub use self::{
    body::Body,
    breaker::{Breaker, Circuit},
    client::Upstream,
    failure::Failure,
    load::{InFlight, Load},
    protocol::Protocol,
    registry::{Endpoint, Llm, ModelRegistry},
    request::{SimulatedRequest, UpstreamRequest},
};
