//! The gateway in process, between a client and fake upstreams, with a scorer whose ranking each test knows.

mod stage;
mod forwarding;
mod streaming;
mod fallback;
mod degraded;
mod refusals;
mod deciding;
mod leaving;
mod draining;
mod resilience;
mod identity;
mod budget;
mod stickiness;
mod reloading;
mod overload;
mod messages;
mod translation;
mod foreign;
mod traces;
