//! What this process remembers of responses: which endpoint made each, and the content of translated ones.
//!
//! A request refers to a stored response by `previous_response_id`, `conversation` or an item's id, and returns reasoning that
//! only its maker can read. Such a request goes to the endpoint that made it. Translated upstreams store nothing, so their
//! responses are kept here. Both caches are bounded: the least recently used entries make room.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use moka::sync::Cache;

use super::Snapshot;
use crate::{
    api::{Fields, Invalid, Reference, Wire, responses::input_items},
    config::Limits,
    upstream::{Endpoint, Protocol},
};

/// The endpoint that made what a request refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Maker {
    pub(super) llm: Arc<str>,
    /// The name of the upstream.
    pub(super) upstream: Arc<str>,
}

/// The endpoint to which a request belongs, and the field that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) maker: Maker,
    pub(super) param: String,
}

/// What a request refers to.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// The endpoint to which the request belongs, if it belongs to one.
    pub(super) pin: Option<Pin>,
    /// The LLM that made the calls whose outputs it brings.
    pub(super) caller_llm: Option<Arc<str>>,
}

/// The memory of this process.
#[derive(Debug)]
pub(super) struct ResponseMemory {
    makers: Cache<u64, Maker>,
    kept: Cache<u64, Arc<Kept>>,
    /// Randomly seeded, so that no client can construct the id of another one's response.
    hasher: RandomState,
}

/// Kept content, as JSON text.
#[derive(Debug)]
pub(super) enum Kept {
    /// One item.
    Item(String),
    /// The new items of one turn, input and output, with commas between, and the response before it.
    Turn { previous: Option<u64>, items: String },
}

impl Kept {
    fn bytes(&self) -> usize {
        match self {
            Self::Item(text) | Self::Turn { items: text, .. } => text.len() + size_of::<Self>(),
        }
    }
}

impl ResponseMemory {
    pub(super) fn new(limits: &Limits) -> Self {
        let weigh = |_: &u64, kept: &Arc<Kept>| u32::try_from(kept.bytes()).unwrap_or(u32::MAX);
        Self {
            makers: Cache::new(u64::try_from(limits.response_ids).unwrap_or(u64::MAX)),
            kept: Cache::builder()
                .weigher(weigh)
                .max_capacity(u64::try_from(limits.stored_responses).unwrap_or(u64::MAX))
                .build(),
            hasher: RandomState::new(),
        }
    }

    /// Returns the key of what the API key `caller` knows as `id`. Other keys cannot refer to it.
    pub(super) fn key(&self, caller: &str, id: &str) -> u64 {
        self.hasher.hash_one((caller, id))
    }

    /// Records which endpoint made `key`.
    pub(super) fn record_maker(&self, key: u64, maker: Maker) {
        self.makers.insert(key, maker);
    }

    /// Keeps the content of `key`.
    pub(super) fn keep(&self, key: u64, kept: Kept) {
        self.kept.insert(key, Arc::new(kept));
    }

    /// Finds the endpoint to which a request of the API key `caller` for `model` belongs, by its `references`.
    ///
    /// # Errors
    ///
    /// Refuses a reference whose endpoint is gone, or is unknown while several may have made it, naming the field.
    pub(super) fn resolve(
        &self,
        snapshot: &Snapshot,
        caller: &str,
        model: &str,
        references: &[Reference],
    ) -> Result<Resolved, Invalid> {
        let mut resolved = Resolved::default();
        let mut unknown: Option<&Reference> = None;
        for reference in references {
            let maker = self.makers.get(&self.key(caller, &reference.id));
            match maker {
                Some(maker) if exists(snapshot, &maker) => resolved.add(reference, maker)?,
                Some(_) if reference.is_required => {
                    let message = format!("the endpoint that made what `{}` refers to is gone", reference.param);
                    return Err(Invalid::new(reference.param.clone(), message));
                }
                None if reference.is_required => unknown = unknown.or(Some(reference)),
                Some(_) | None => {}
            }
        }
        if let (None, Some(reference)) = (&resolved.pin, unknown) {
            check_sole_upstream(snapshot, model, reference)?;
        }
        Ok(resolved)
    }

    /// Returns the request with what it refers to in its input, as far as that is kept; none if nothing is.
    pub(super) fn expand(&self, caller: &str, fields: &Fields<'_>) -> Option<String> {
        let own = self.own_items(caller, fields);
        let earlier = match fields.string("previous_response_id") {
            Some(id) => self.turns_until(self.key(caller, &id))?,
            None => Vec::new(),
        };
        let items = [earlier, own].concat().join(",");
        Some(fields.replaced("input", &format!("[{items}]"), "previous_response_id"))
    }

    /// Returns the request's own items, with kept ones in place of references.
    pub(super) fn own_items(&self, caller: &str, fields: &Fields<'_>) -> Vec<String> {
        let dereferenced = |item: String| {
            let id = Fields::parse(&item)
                .ok()
                .filter(|item| item.string("type").as_deref() == Some("item_reference"))
                .and_then(|item| item.string("id"));
            match id.and_then(|id| self.kept.get(&self.key(caller, &id))).as_deref() {
                Some(Kept::Item(kept)) => kept.clone(),
                Some(Kept::Turn { .. }) | None => item,
            }
        };
        input_items(fields).into_iter().map(dereferenced).collect()
    }

    /// Returns the items of all turns up to the response `key`, oldest first; none if one is no longer kept.
    fn turns_until(&self, key: u64) -> Option<Vec<String>> {
        let mut turns = Vec::new();
        let mut next = Some(key);
        while let Some(key) = next {
            // A chain cannot contain a circle, as a response refers to earlier ones only.
            let kept = self.kept.get(&key)?;
            let Kept::Turn { previous, items } = kept.as_ref() else {
                return None;
            };
            turns.push(items.clone());
            next = *previous;
        }
        turns.retain(|items| !items.is_empty());
        turns.reverse();
        Some(turns)
    }
}

impl Resolved {
    fn add(&mut self, reference: &Reference, maker: Maker) -> Result<(), Invalid> {
        if reference.param.ends_with(".call_id") {
            self.caller_llm = Some(maker.llm);
            return Ok(());
        }
        match &self.pin {
            Some(pin) if pin.maker.upstream != maker.upstream => {
                let message = format!("`{}` and `{}` were made by different endpoints", pin.param, reference.param);
                Err(Invalid::new(reference.param.clone(), message))
            }
            Some(_) => Ok(()),
            None => {
                self.pin = Some(Pin { maker, param: reference.param.clone() });
                Ok(())
            }
        }
    }
}

impl Pin {
    /// Returns whether a request that names an LLM or, if `is_routed`, a virtual model may go to `endpoint`. What an upstream
    /// stores is known to all LLMs of its account; a routed conversation keeps its LLM as well.
    pub(super) fn allows(&self, endpoint: &Endpoint, is_routed: bool) -> bool {
        *endpoint.upstream.config.name == *self.maker.upstream && (!is_routed || endpoint.spec.llm == self.maker.llm)
    }

    /// Returns the error of a request that its endpoint cannot serve.
    pub(super) fn refusal(&self) -> Invalid {
        let message = format!("the endpoint that made what `{}` refers to cannot serve this request", self.param);
        Invalid::new(self.param.clone(), message)
    }
}

fn exists(snapshot: &Snapshot, maker: &Maker) -> bool {
    let llm = snapshot.models.find(&maker.llm);
    llm.is_some_and(|llm| llm.endpoints.iter().any(|endpoint| *endpoint.upstream.config.name == *maker.upstream))
}

/// Refuses a reference to something unknown, unless only one upstream may have made it.
fn check_sole_upstream(snapshot: &Snapshot, model: &str, reference: &Reference) -> Result<(), Invalid> {
    let routed = snapshot.models.policy(model).map(|policy| policy.candidates.iter());
    let llms: Vec<_> = match routed {
        Some(candidates) => candidates.filter_map(|llm| snapshot.models.find(llm)).collect(),
        None => snapshot.models.find(model).into_iter().collect(),
    };
    let endpoints = llms.into_iter().flat_map(|llm| &llm.endpoints);
    let mut upstreams: Vec<&str> = endpoints
        .filter(|endpoint| endpoint.upstream.protocol(Wire::Responses) == Some(Protocol::Native))
        .map(|endpoint| endpoint.upstream.config.name.as_str())
        .collect();
    upstreams.sort_unstable();
    upstreams.dedup();
    if upstreams.len() == 1 {
        return Ok(());
    }
    let message = format!("no endpoint is known to have made what `{}` refers to", reference.param);
    Err(Invalid::new(reference.param.clone(), message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(stored: usize) -> ResponseMemory {
        let text = "version: 1\nupstreams: [{name: u, kind: simulated}]\nmodels: [{llm: a, upstream: u, input_price: 1, output_price: 1}]";
        let config = crate::config::parse(std::path::Path::new("f.yaml"), text, &|_| None).unwrap().config;
        ResponseMemory::new(&Limits { stored_responses: stored, ..config.limits })
    }

    #[test]
    fn kept_turns_and_items_take_the_place_of_references() {
        let memory = memory(1 << 20);
        let first = memory.key("team", "resp_1");
        memory.keep(first, Kept::Turn { previous: None, items: "1,2".to_owned() });
        memory.keep(memory.key("team", "resp_2"), Kept::Turn { previous: Some(first), items: "3".to_owned() });
        memory.keep(memory.key("team", "msg_1"), Kept::Item("4".to_owned()));
        let body =
            r#"{"model":"m","previous_response_id":"resp_2","input":[{"type":"item_reference","id":"msg_1"},5]}"#;
        let expanded = |caller: &str| memory.expand(caller, &Fields::parse(body).unwrap());
        assert_eq!(expanded("team").as_deref(), Some(r#"{"input":[1,2,3,4,5],"model":"m"}"#));
        assert_eq!(expanded("other"), None, "another key cannot refer to it");
    }

    #[test]
    fn the_oldest_content_makes_room() {
        let memory = memory(4_096);
        for id in 0..100 {
            memory.keep(memory.key("", &format!("item_{id}")), Kept::Item("x".repeat(500)));
        }
        memory.kept.run_pending_tasks();
        assert!(memory.kept.weighted_size() <= 4_096, "{}", memory.kept.weighted_size());
    }
}
