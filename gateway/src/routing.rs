//! Runs the router. Fast decisions run inline, on the thread that serves the request and batched with other ready requests;
//! the others run on a thread pool behind a bounded queue.

mod scorer;
pub mod pool;
mod batcher;
mod latency;
mod job;

pub use self::{
    job::RouteJob,
    pool::{PoolLimits, RoutePool},
    scorer::{QueryFeatures, RewardRange, Scorer},
};
