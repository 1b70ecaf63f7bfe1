//! The services that answer: how a request reaches them and how its failure reads.

pub mod body;
pub mod failure;
mod line;
pub mod http_client;
pub mod breaker;
pub mod load;
pub mod simulated;
pub mod translated;
pub mod peer;
pub mod probe;
pub mod roster;

pub use self::{
    body::Body,
    breaker::{Breaker, Gate},
    failure::Failure,
    load::{InFlight, Load},
    peer::{Call, Peer, Way},
    roster::{Endpoint, Llm, Roster},
    simulated::Offered,
};
