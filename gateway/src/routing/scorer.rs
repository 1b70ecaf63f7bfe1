//! Ranks the candidates of requests: the interface, and its implementation by the plugin's router.

use std::time::Duration;

use personaroute_bundle::manifest::TextEncoder;
use personaroute_host::{Decision, Interaction, Profile, QueryFeatures as Features, RouteError, RouteRequest, Router};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most candidates and most bytes of text of an inline decision. At these limits it takes 60 µs on one core.
const INLINE_MAX_CANDIDATES: usize = 100;
const INLINE_MAX_TEXT: usize = 2 << 10;

/// Deadline of an inline decision, ten times its usual duration. Each further decision of a batch adds a quarter.
const INLINE_DEADLINE: Duration = Duration::from_millis(1);

/// What is kept of a query: the input of the bundle's text encoder, from which the text cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryFeatures {
    /// Ids of hashed n-grams.
    Lexical(Vec<u32>),
    /// A dense vector.
    Dense(Vec<f32>),
}

/// The rewards of the training data, onto which ratings from 0 to 1 are mapped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RewardRange {
    /// The reward of the worst answers.
    pub least: f32,
    /// The reward of the best answers.
    pub most: f32,
}

/// Ranks candidates: the plugin's router, or a fake in tests.
pub trait Scorer: Send + Sync + 'static {
    /// Returns whether the user has a profile.
    fn knows(&self, user: &str) -> bool;

    /// Ranks the candidates of one request; blocks.
    fn route(&self, request: &RouteRequest) -> Result<Decision, RouteError>;

    /// Ranks the candidates of many requests, one result each, in order; blocks.
    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>>;

    /// Returns whether the decision on this request is usually fast enough to run inline.
    fn can_run_inline(&self, _: &RouteRequest) -> bool {
        false
    }

    /// Ranks like [`Self::route_batch`], with the short deadline of inline decisions.
    fn route_inline(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        self.route_batch(requests)
    }

    /// Returns the version of the bundle: profiles of different versions have nothing in common.
    fn version(&self) -> String {
        String::new()
    }

    /// Returns the profile from which the user's signals are learned: the trained one, or the population prior. None if the
    /// scorer does not learn.
    fn start_profile(&self, _: &str) -> Option<Profile> {
        None
    }

    /// Returns the profile of a user who starts from `start` and has these interactions; blocks.
    fn adapt(&self, start: &Profile, _: &[Interaction]) -> Result<Profile, RouteError> {
        Ok(start.clone())
    }

    /// Returns what is kept of a query; none if nothing can be computed.
    fn query_features(&self, _: &str) -> Option<QueryFeatures> {
        None
    }

    /// Returns the rewards of the training data.
    fn reward_range(&self) -> RewardRange {
        RewardRange { least: 0.0, most: 1.0 }
    }
}

impl Scorer for Router {
    fn version(&self) -> String {
        let mut hash = Sha256::new();
        for (path, digest) in &self.bundle().manifest.files {
            hash.update(format!("{path}={digest}\n"));
        }
        const_hex::encode(hash.finalize().get(..8).unwrap_or_default())
    }

    fn start_profile(&self, user: &str) -> Option<Profile> {
        Some(self.profile(user).unwrap_or_else(|| self.prior()))
    }

    fn adapt(&self, start: &Profile, interactions: &[Interaction]) -> Result<Profile, RouteError> {
        self.adapt(start, interactions)
    }

    fn reward_range(&self) -> RewardRange {
        let [least, most] = self.bundle().manifest.reward_range;
        RewardRange { least, most }
    }

    fn query_features(&self, text: &str) -> Option<QueryFeatures> {
        // A router that is too busy to encode a text still keeps the decision, without features.
        match self.query_features(text).ok()? {
            Features::Ngrams(ids) => {
                let ids = ids.into_iter().filter_map(|id| u32::try_from(id).ok());
                Some(QueryFeatures::Lexical(ids.collect()))
            }
            Features::Embedding(vector) => Some(QueryFeatures::Dense(vector)),
            Features::None => None,
        }
    }

    fn knows(&self, user: &str) -> bool {
        self.profile(user).is_some()
    }

    fn route(&self, request: &RouteRequest) -> Result<Decision, RouteError> {
        self.route(request)
    }

    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        self.route_batch(requests)
    }

    fn can_run_inline(&self, request: &RouteRequest) -> bool {
        let is_lexical = matches!(self.bundle().manifest.text_encoder, TextEncoder::Lexical(_));
        is_lexical && request.candidates.len() <= INLINE_MAX_CANDIDATES && request.text.len() <= INLINE_MAX_TEXT
    }

    fn route_inline(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        match requests {
            [request] => vec![self.route_within(request, INLINE_DEADLINE)],
            requests => {
                let quarters = u32::try_from(requests.len()).unwrap_or(u32::MAX).saturating_add(3);
                self.route_batch_within(requests, INLINE_DEADLINE / 4 * quarters)
            }
        }
    }
}
