//! The models clients can request: the configuration's entries joined with the bundle's catalog.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use personaroute_bundle::catalog::Catalog;
use rustls::ClientConfig;

use super::{Breaker, Circuit, Load, Upstream, http_client::ConnectionLimits};
use crate::{
    config::{self, Config, Fault, Model, Rejection, VirtualModel},
    decide::{ModelSpec, Policy},
};

/// All LLMs and virtual models, by the names that clients send.
#[derive(Debug)]
pub struct ModelRegistry {
    llms: Vec<Llm>,
    by_name: HashMap<Arc<str>, usize>,
    virtual_models: Vec<VirtualModel>,
    upstreams: BTreeMap<String, Arc<Upstream>>,
}

/// An LLM with the endpoints that serve it.
#[derive(Debug)]
pub struct Llm {
    /// Its id.
    pub id: Arc<str>,
    /// Its endpoints; at least one.
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// An upstream that serves an LLM.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The upstream.
    pub upstream: Arc<Upstream>,
    /// The upstream's name for the LLM.
    pub name: Arc<str>,
    /// The prices, limits and capabilities of the LLM at this upstream.
    pub spec: ModelSpec,
    /// The load of this endpoint.
    pub load: Arc<Load>,
    /// The breaker of this endpoint, which for example a 429 opens. The upstream has a breaker of its own.
    pub breaker: Arc<Breaker>,
}

impl Endpoint {
    fn new(upstream: &Arc<Upstream>, name: &str, spec: ModelSpec, breaker: config::Breaker) -> Self {
        let (load, breaker) = (Arc::default(), Arc::new(Breaker::new(breaker)));
        Self { upstream: Arc::clone(upstream), name: Arc::from(name), spec, load, breaker }
    }

    /// Returns whether both are the same LLM at the same upstream.
    fn is_same_endpoint(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.upstream, &other.upstream)
    }

    /// Returns whether a request may be sent to this endpoint at `now`: both breakers must allow it.
    pub fn try_acquire(&self, now: Instant) -> Circuit {
        let own = self.breaker.try_acquire(now);
        if matches!(own, Circuit::Open(_)) {
            return own;
        }
        match self.upstream.breaker.try_acquire(now) {
            Circuit::Closed => own,
            Circuit::HalfOpen => Circuit::HalfOpen,
            open @ Circuit::Open(_) => {
                self.breaker.release_trial();
                open
            }
        }
    }

    /// Releases what [`Self::try_acquire`] has just granted, because the request was not sent.
    pub fn release_trial(&self) {
        self.breaker.release_trial();
        self.upstream.breaker.release_trial();
    }
}

impl ModelRegistry {
    /// Joins `config` with the bundle's `catalog`.
    ///
    /// # Errors
    ///
    /// Fails for an LLM without a price in either, naming its line in the file.
    pub fn build(config: &Config, catalog: &Catalog, tls: &Arc<ClientConfig>) -> Result<Self, Rejection> {
        let limits = ConnectionLimits { connect: config.timeouts.connect, max_idle: config.limits.idle_connections };
        let connect = |upstream| Arc::new(Upstream::new(Arc::clone(upstream), tls, limits, config.breaker));
        let upstreams: BTreeMap<_, _> =
            config.upstreams.iter().map(|(name, upstream)| (name.clone(), connect(upstream))).collect();
        let mut llms: Vec<Llm> = Vec::new();
        for model in &config.models {
            let Some(upstream) = upstreams.get(&model.upstream.name) else {
                continue;
            };
            let spec = spec(model, catalog)?;
            let id = Arc::clone(&spec.llm);
            let endpoint = Arc::new(Endpoint::new(upstream, &model.name, spec, config.breaker));
            match llms.iter_mut().find(|llm| llm.id == id) {
                Some(llm) => llm.endpoints.push(endpoint),
                None => llms.push(Llm { id, endpoints: vec![endpoint] }),
            }
        }
        let by_name = index(&llms);
        Ok(Self { llms, by_name, virtual_models: config.virtual_models.clone(), upstreams })
    }

    /// Takes over the upstreams of `before` whose configuration has not changed: their connections, load and breakers.
    pub fn inherit_state(&mut self, before: &Self) {
        for (name, upstream) in &mut self.upstreams {
            if let Some(known) = before.upstreams.get(name).filter(|known| known.has_same_config(upstream)) {
                *upstream = Arc::clone(known);
            }
        }
        for llm in &mut self.llms {
            let known = before.llms.iter().find(|known| known.id == llm.id);
            for endpoint in llm.endpoints.iter_mut().map(Arc::make_mut) {
                if let Some(upstream) = self.upstreams.get(&endpoint.upstream.config.name) {
                    endpoint.upstream = Arc::clone(upstream);
                }
                if let Some(known) =
                    known.and_then(|known| known.endpoints.iter().find(|known| known.is_same_endpoint(endpoint)))
                {
                    // Not its spec: prices, windows and regions are the new file's.
                    endpoint.load = Arc::clone(&known.load);
                    endpoint.breaker = Arc::clone(&known.breaker);
                }
            }
        }
    }

    /// Returns the LLM with this id, or else the first one with this upstream name.
    pub fn find(&self, name: &str) -> Option<&Llm> {
        self.llms.get(*self.by_name.get(name)?)
    }

    /// Returns the policy of the virtual model with this name.
    pub fn policy(&self, name: &str) -> Option<&Arc<Policy>> {
        self.virtual_models.iter().map(|model| &model.policy).find(|policy| *policy.name == *name)
    }

    /// Returns the policy of requests that name no virtual model.
    pub fn first_policy(&self) -> Option<&Arc<Policy>> {
        self.virtual_models.first().map(|model| &model.policy)
    }

    /// Returns every name a client may send, with its owner.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        let routed = self.virtual_models.iter().map(|model| (&*model.policy.name, "personaroute"));
        let concrete = self.llms.iter().map(|llm| {
            let owner = llm.endpoints.first().map_or("", |endpoint| endpoint.upstream.config.name.as_str());
            (&*llm.id, owner)
        });
        routed.chain(concrete)
    }

    /// Returns the LLMs, in the order of the configuration.
    pub fn llms(&self) -> &[Llm] {
        &self.llms
    }

    /// Returns the upstreams, by name.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values()
    }
}

/// Ids take precedence over upstream names; of equal upstream names the first in the file is used.
fn index(llms: &[Llm]) -> HashMap<Arc<str>, usize> {
    let ids = llms.iter().enumerate().map(|(idx, llm)| (Arc::clone(&llm.id), idx));
    let mut by_name: HashMap<_, _> = ids.collect();
    for (idx, llm) in llms.iter().enumerate() {
        for endpoint in &llm.endpoints {
            by_name.entry(Arc::clone(&endpoint.name)).or_insert(idx);
        }
    }
    by_name
}

fn spec(model: &Model, catalog: &Catalog) -> Result<ModelSpec, Rejection> {
    let known = catalog.llms.iter().find(|llm| llm.id == model.llm);
    let unpriced = || {
        let known: Vec<&str> = catalog.llms.iter().map(|llm| llm.id.as_str()).collect();
        let fault = Fault::Unpriced { llm: model.llm.clone(), known: known.join(", ") };
        Rejection { position: model.position, fault }
    };
    let input_price = model.input_price.or(known.map(|llm| llm.input_price)).ok_or_else(unpriced)?;
    let output_price = model.output_price.or(known.map(|llm| llm.output_price)).ok_or_else(unpriced)?;
    let cached = model.cached_input_price.or(known.and_then(|llm| llm.cached_input_price));
    let capabilities = model.capabilities.clone();
    Ok(ModelSpec {
        llm: Arc::from(model.llm.as_str()),
        input_price,
        output_price,
        // Without a price of its own a cached token costs as much as another.
        cached_input_price: cached.unwrap_or(input_price),
        context_window: model.context_window.or(known.and_then(|llm| llm.context_window)),
        capabilities: capabilities.or(known.map(|llm| llm.capabilities.clone())).unwrap_or_default(),
        region: model.region.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::*;
    use crate::upstream::http_client;

    fn registry(models: &str) -> ModelRegistry {
        let text = format!(
            "version: 1\nupstreams: [{{name: u, kind: simulated}}]\nmodels: [{models}]\nbreaker: {{failures: 1, cooldown: 5s}}"
        );
        let loaded = config::parse(Path::new("f.yaml"), &text, &|_| None).unwrap();
        ModelRegistry::build(&loaded.config, &Catalog::default(), &http_client::tls().unwrap()).unwrap()
    }

    #[test]
    fn an_open_upstream_releases_the_trial_of_its_endpoint() {
        const SECOND: Duration = Duration::from_secs(1);
        let (registry, now) = (registry("{llm: a, upstream: u, input_price: 1, output_price: 1}"), Instant::now());
        let endpoint = &registry.llms()[0].endpoints[0];
        endpoint.breaker.open_for(now, SECOND);
        endpoint.upstream.breaker.record_failure(now);
        assert_eq!(endpoint.try_acquire(now + 2 * SECOND), Circuit::Open(3 * SECOND));
        assert_eq!(endpoint.try_acquire(now + 5 * SECOND), Circuit::HalfOpen);
    }

    #[test]
    fn a_reload_keeps_the_load_and_breaker_of_an_endpoint_and_takes_the_new_prices() {
        let before = registry("{llm: a, upstream: u, input_price: 1, output_price: 1}");
        let mut registry = registry("{llm: a, upstream: u, input_price: 3, output_price: 1, region: eu}");
        registry.inherit_state(&before);
        let (new, old) = (&registry.llms()[0].endpoints[0], &before.llms()[0].endpoints[0]);
        assert!(Arc::ptr_eq(&new.load, &old.load) && Arc::ptr_eq(&new.breaker, &old.breaker));
        assert_eq!((new.spec.input_price, new.spec.region.as_deref()), (3.0, Some("eu")));
    }
}
