//! The LLMs and the model names that are routed.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{
    Position, Upstream,
    error::{Fault, Rejection},
    located::Located,
    range::{amount, optional_amount, share},
    raw,
};
use crate::decide::{Capability, Constraints, Exploration, Explore, Policy};

/// An LLM and one endpoint that serves it. Entries with the same `llm` are endpoints of one LLM.
#[derive(Debug, Clone)]
pub struct Model {
    /// Where the entry is in the file.
    pub position: Position,
    /// The id in the bundle's catalog.
    pub llm: String,
    /// The upstream that serves it.
    pub upstream: Arc<Upstream>,
    /// What the upstream calls it.
    pub name: String,
    /// USD per million input tokens, in place of the catalog's.
    pub input_price: Option<f32>,
    /// USD per million output tokens, in place of the catalog's.
    pub output_price: Option<f32>,
    /// USD per million cached input tokens, in place of the catalog's.
    pub cached_input_price: Option<f32>,
    /// Most tokens of prompt and response, in place of the catalog's.
    pub context_window: Option<u32>,
    /// What the LLM can do, in place of the catalog's.
    pub capabilities: Option<Vec<Capability>>,
    /// Where it runs, for constraints.
    pub region: Option<String>,
}

/// A model name that is routed.
#[derive(Debug, Clone)]
pub struct VirtualModel {
    /// Where its name is in the file.
    pub position: Position,
    /// Where its task is in the file.
    pub task_position: Position,
    /// What decides.
    pub policy: Arc<Policy>,
}

/// Returns the models, each with its upstream.
pub(super) fn models(
    raw: &Located<Vec<raw::Model>>,
    upstreams: &BTreeMap<String, Arc<Upstream>>,
) -> Result<Vec<Model>, Rejection> {
    if raw.is_empty() {
        return Err(raw.reject(Fault::Empty("models")));
    }
    let mut models = Vec::with_capacity(raw.len());
    let mut seen = HashSet::new();
    for written in &raw.value {
        let model = model(written, upstreams)?;
        if !seen.insert((&written.llm.value, model.upstream.name.clone(), model.name.clone())) {
            return Err(written.llm.reject(duplicate("model", &written.llm)));
        }
        models.push(model);
    }
    Ok(models)
}

fn model(raw: &raw::Model, upstreams: &BTreeMap<String, Arc<Upstream>>) -> Result<Model, Rejection> {
    let upstream = upstreams
        .get(&raw.upstream.value)
        .ok_or_else(|| raw.upstream.reject(unknown("upstream", &raw.upstream, upstreams.keys().map(String::as_str))))?;
    Ok(Model {
        position: raw.llm.position,
        llm: raw.llm.value.clone(),
        upstream: Arc::clone(upstream),
        name: raw.name.clone().unwrap_or_else(|| raw.llm.value.clone()),
        input_price: optional_amount("input_price", raw.input_price.as_ref())?,
        output_price: optional_amount("output_price", raw.output_price.as_ref())?,
        cached_input_price: optional_amount("cached_input_price", raw.cached_input_price.as_ref())?,
        context_window: raw.context_window,
        capabilities: raw.capabilities.clone(),
        region: raw.region.clone(),
    })
}

/// Returns the virtual models, whose candidates are among `models`.
pub(super) fn virtual_models(raw: &[raw::VirtualModel], models: &[Model]) -> Result<Vec<VirtualModel>, Rejection> {
    let mut names = HashSet::new();
    let mut virtual_models = Vec::with_capacity(raw.len());
    for written in raw {
        let name = &written.name;
        if !names.insert(&name.value) {
            return Err(name.reject(duplicate("virtual model", name)));
        }
        if models.iter().any(|model| model.llm == name.value || model.name == name.value) {
            return Err(name.reject(Fault::Ambiguous(name.value.clone())));
        }
        let task_position = written.task.as_ref().map_or(name.position, |task| task.position);
        let policy = Arc::new(policy(written, models)?);
        virtual_models.push(VirtualModel { position: name.position, task_position, policy });
    }
    Ok(virtual_models)
}

fn policy(raw: &raw::VirtualModel, models: &[Model]) -> Result<Policy, Rejection> {
    let candidates = match &raw.candidates {
        Some(written) if written.is_empty() => return Err(written.reject(Fault::Empty("candidates"))),
        Some(written) => names_among("candidate", written, models.iter().map(|model| model.llm.as_str()))?,
        None => distinct(models.iter().map(|model| model.llm.as_str())),
    };
    let fallback = match &raw.fallback {
        Some(written) => names_among("fallback", written, candidates.iter().map(AsRef::as_ref))?,
        None => Vec::new(),
    };
    let constraints = &raw.constraints;
    let (input, output) = (constraints.max_input_price.as_ref(), constraints.max_output_price.as_ref());
    Ok(Policy {
        margin: amount("stickiness.margin", &raw.stickiness.margin)?,
        expiry: raw.stickiness.expiry.0,
        name: Arc::from(raw.name.value.as_str()),
        candidates,
        preference: raw.preference.as_ref().map(|written| share("preference", written)).transpose()?,
        task: raw.task.as_ref().map(|task| task.value.clone()),
        fallback,
        exploration: exploration(&raw.exploration)?,
        constraints: Constraints {
            max_input_price: optional_amount("constraints.max_input_price", input)?,
            max_output_price: optional_amount("constraints.max_output_price", output)?,
            regions: constraints.regions.clone(),
        },
    })
}

fn exploration(raw: &raw::Exploration) -> Result<Option<Exploration>, Rejection> {
    let max_regret = amount("exploration.max_regret", &raw.max_regret)?;
    let min_effect = optional_amount("exploration.min_effect", raw.min_effect.as_ref())?;
    let by = match raw.mode {
        raw::ExplorationMode::Off => return Ok(None),
        raw::ExplorationMode::Thompson => Explore::Thompson,
        raw::ExplorationMode::Ucb => Explore::Ucb,
    };
    Ok(Some(Exploration { by, max_regret, min_effect }))
}

/// Returns the names that are `written`, each one of `known` and none twice.
pub(super) fn names_among<'a>(
    what: &'static str,
    written: &[Located<String>],
    known: impl Iterator<Item = &'a str> + Clone,
) -> Result<Vec<Arc<str>>, Rejection> {
    let mut seen = HashSet::new();
    for name in written {
        if !known.clone().any(|id| id == name.value) {
            return Err(name.reject(unknown(what, name, distinct(known).iter().map(AsRef::as_ref))));
        }
        if !seen.insert(&name.value) {
            return Err(name.reject(duplicate(what, name)));
        }
    }
    Ok(written.iter().map(|name| Arc::from(name.value.as_str())).collect())
}

fn distinct<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<Arc<str>> {
    let mut seen = HashSet::new();
    ids.filter(|id| seen.insert(*id)).map(Arc::from).collect()
}

fn duplicate(what: &'static str, name: &str) -> Fault {
    Fault::Duplicate { what, name: name.to_owned() }
}

fn unknown<'a>(what: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> Fault {
    Fault::Unknown { what, name: name.to_owned(), known: known.collect::<Vec<_>>().join(", ") }
}
