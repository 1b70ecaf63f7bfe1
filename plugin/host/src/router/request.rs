//! Prepares requests for the plugin: checks them, splits batches into calls, converts them to WIT types.

use std::collections::HashMap;

use crate::{
    Candidate, Profile, RouteError, RouteRequest,
    bindings::exports::personaroute::router::routing,
    bundle::{folder::Bundle, manifest::TextEncoder},
    truncate::truncate,
};

/// Most candidates of one request, as the WIT package says.
const MAX_CANDIDATES: usize = 4096;

/// Most bytes of a query that are encoded; encoders read at most 256 tokens.
pub(super) const MAX_TEXT: usize = 64 << 10;

/// Accepts a request that follows the rules of [`RouteRequest`]; `Candidates::new` refuses duplicate candidates.
pub(super) fn check(request: &RouteRequest) -> Result<(), RouteError> {
    let count = request.candidates.len();
    if count == 0 || count > MAX_CANDIDATES {
        return invalid(format!("{count} candidates instead of 1 to {MAX_CANDIDATES}"));
    }
    if request.preference.is_some_and(|preference| !(0.0..=1.0).contains(&preference)) {
        return invalid("the preference is outside 0 to 1".to_owned());
    }
    match request.candidates.iter().find(|candidate| !has_prices(candidate)) {
        Some(odd) => invalid(format!("a price of {} is negative or not finite", odd.llm)),
        None => Ok(()),
    }
}

/// Accepts a profile that matches the bundle.
pub(super) fn check_profile(profile: &Profile, user_dim: usize) -> Result<(), RouteError> {
    crate::check::profile(profile, user_dim).map_err(|fault| RouteError::InvalidRequest(fault.to_string()))
}

/// Returns the id with which the plugin looks up the request's user.
///
/// A request with a profile and no user has the empty string, which no user table contains.
pub(super) fn user(request: &RouteRequest) -> Option<&str> {
    request.user.as_deref().or(request.profile.is_some().then_some(""))
}

/// Splits `requests` into calls of at most `max` requests, none of which has two profiles of one user.
pub(super) fn chunks(requests: &[RouteRequest], max: usize) -> impl Iterator<Item = &[RouteRequest]> {
    let mut rest = requests;
    std::iter::from_fn(move || {
        let (chunk, later) = rest.split_at_checked(one_call(rest, max))?;
        rest = later;
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn one_call(requests: &[RouteRequest], max: usize) -> usize {
    let mut profiles: HashMap<&str, Option<&Profile>> = HashMap::new();
    for (idx, request) in requests.iter().take(max).enumerate() {
        let Some(user) = user(request) else { continue };
        let profile = request.profile.as_ref();
        if *profiles.entry(user).or_insert(profile) != profile {
            return idx;
        }
    }
    requests.len().min(max)
}

/// Returns the facts about the bundle that the plugin needs; `tasks` are its task names.
pub(super) fn model<'a>(bundle: &'a Bundle, tasks: &'a [&'a str]) -> routing::Model<'a> {
    let manifest = &bundle.manifest;
    let text_encoder = match &manifest.text_encoder {
        TextEncoder::Lexical(lexical) => routing::TextEncoder::Lexical(routing::LexicalEncoder {
            version: manifest.encoding_version,
            buckets: lexical.buckets,
            max_words: lexical.max_words,
            max_ids: lexical.max_ids,
            seed: lexical.seed,
        }),
        TextEncoder::Embedding(embedding) => routing::TextEncoder::Embedding(extent(embedding.dim)),
    };
    routing::Model { text_encoder, tasks, llm_columns: extent(manifest.llms), prior: &manifest.prior }
}

/// Returns the names of the bundle's tasks.
pub(super) fn tasks(bundle: &Bundle) -> Vec<&str> {
    bundle.tasks.tasks.iter().map(|task| task.name.as_str()).collect()
}

/// Converts a request to its WIT type.
pub(super) fn wit<'a>(request: &'a RouteRequest, candidates: routing::Candidates<'a>) -> routing::Request<'a> {
    routing::Request {
        user: user(request),
        text: truncate(&request.text, MAX_TEXT),
        task: request.task.as_deref(),
        preference: request.preference,
        candidates,
        prompt_tokens: request.prompt_tokens,
    }
}

/// Converts an extent, which the manifest bounds far below the maximum.
pub(super) fn extent(extent: usize) -> u32 {
    u32::try_from(extent).unwrap_or(u32::MAX)
}

fn has_prices(candidate: &Candidate) -> bool {
    let price = |price: f32| price.is_finite() && price >= 0.0;
    price(candidate.input_price) && price(candidate.output_price)
}

fn invalid(reason: String) -> Result<(), RouteError> {
    Err(RouteError::InvalidRequest(reason))
}

#[cfg(test)]
mod tests;
