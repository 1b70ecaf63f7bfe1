//! The LLMs that can be called: the configuration's entries joined with the bundle's catalog.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use personaroute_bundle::catalog::Catalog;
use rustls::ClientConfig;

use super::{Breaker, Gate, Load, Peer, Way};
use crate::{
    api::Wire,
    config::{self, Config, Fault, Model, Place, VirtualModel},
    decide::{Offer, Policy},
};

/// All LLMs and virtual models, by the names clients use.
#[derive(Debug)]
pub struct Roster {
    llms: Vec<Llm>,
    by_name: HashMap<Arc<str>, usize>,
    virtual_models: Vec<VirtualModel>,
    peers: BTreeMap<String, Arc<Peer>>,
}

/// An LLM with the places that serve it.
#[derive(Debug)]
pub struct Llm {
    /// Its id.
    pub id: Arc<str>,
    /// Where it is served; at least one.
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// A place that serves an LLM.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The upstream.
    pub peer: Arc<Peer>,
    /// What the upstream calls the LLM.
    pub name: Arc<str>,
    /// What the LLM costs and can do there.
    pub offer: Offer,
    /// How busy it is.
    pub load: Arc<Load>,
    /// Whether this LLM is left alone there, as after a 429; the upstream's own breaker counts besides.
    pub breaker: Arc<Breaker>,
}

impl Endpoint {
    fn new(peer: &Arc<Peer>, name: &str, offer: Offer, breaker: config::Breaker) -> Self {
        let (load, breaker) = (Arc::default(), Arc::new(Breaker::new(breaker)));
        Self { peer: Arc::clone(peer), name: Arc::from(name), offer, load, breaker }
    }

    /// Returns whether both are the same LLM of the same upstream.
    fn is_at(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.peer, &other.peer)
    }

    /// Returns whether a request may be sent there at `now`.
    pub fn enter(&self, now: Instant) -> Gate {
        match self.breaker.enter(now) {
            Gate::Open => {
                let gate = self.peer.breaker.enter(now);
                if gate != Gate::Open {
                    self.breaker.leave();
                }
                gate
            }
            shut @ Gate::Shut(_) => shut,
        }
    }
}

impl Roster {
    /// Joins `config` with the bundle's `catalog`.
    ///
    /// # Errors
    ///
    /// Fails for an LLM that has no price in either, naming its place in the file.
    pub fn build(config: &Config, catalog: &Catalog, tls: &Arc<ClientConfig>) -> Result<Self, (Place, Fault)> {
        let peer = |upstream| Arc::new(Peer::new(Arc::clone(upstream), tls, config.timeouts.connect, config.breaker));
        let peers: BTreeMap<_, _> =
            config.upstreams.iter().map(|(name, upstream)| (name.clone(), peer(upstream))).collect();
        let mut llms: Vec<Llm> = Vec::new();
        for model in &config.models {
            let Some(peer) = peers.get(&model.upstream.name) else {
                continue;
            };
            let offer = offer(model, catalog)?;
            let id = Arc::clone(&offer.llm);
            let endpoint = Arc::new(Endpoint::new(peer, &model.name, offer, config.breaker));
            match llms.iter_mut().find(|llm| llm.id == id) {
                Some(llm) => llm.endpoints.push(endpoint),
                None => llms.push(Llm { id, endpoints: vec![endpoint] }),
            }
        }
        let by_name = index(&llms);
        Ok(Self { llms, by_name, virtual_models: config.virtual_models.clone(), peers })
    }

    /// Takes over the upstreams of `before` that are described alike, with their connections and what was learnt of
    /// them: load and breakers.
    pub fn carry_on(&mut self, before: &Self) {
        for (name, peer) in &mut self.peers {
            if let Some(known) = before.peers.get(name).filter(|known| known.is_like(peer)) {
                *peer = Arc::clone(known);
            }
        }
        for llm in &mut self.llms {
            let known = before.llms.iter().find(|known| known.id == llm.id);
            for endpoint in llm.endpoints.iter_mut().map(Arc::make_mut) {
                if let Some(peer) = self.peers.get(&endpoint.peer.config.name) {
                    endpoint.peer = Arc::clone(peer);
                }
                if let Some(known) = known.and_then(|known| known.endpoints.iter().find(|known| known.is_at(endpoint)))
                {
                    // Not its offer: prices, windows and regions are the new file's.
                    endpoint.load = Arc::clone(&known.load);
                    endpoint.breaker = Arc::clone(&known.breaker);
                }
            }
        }
    }

    /// Returns the LLM with this id, or else the first that an upstream calls so.
    pub fn find(&self, name: &str) -> Option<&Llm> {
        self.llms.get(*self.by_name.get(name)?)
    }

    /// Returns the virtual model of this name.
    pub fn policy(&self, name: &str) -> Option<&Arc<Policy>> {
        self.virtual_models.iter().map(|model| &model.policy).find(|policy| *policy.name == *name)
    }

    /// Returns the virtual model of requests that name none.
    pub fn first_policy(&self) -> Option<&Arc<Policy>> {
        self.virtual_models.first().map(|model| &model.policy)
    }

    /// Returns every name a client may send, with its owner.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        let routed = self.virtual_models.iter().map(|model| (&*model.policy.name, "personaroute"));
        let concrete = self.llms.iter().map(|llm| {
            let owner = llm.endpoints.first().map_or("", |endpoint| endpoint.peer.config.name.as_str());
            (&*llm.id, owner)
        });
        routed.chain(concrete)
    }

    /// Returns the LLMs, in the order of the configuration.
    pub fn llms(&self) -> &[Llm] {
        &self.llms
    }

    /// Returns the upstreams, by name.
    pub fn peers(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.peers.values()
    }
}

impl Llm {
    /// Returns the best way in which any endpoint serves format `wire`.
    pub fn way(&self, wire: Wire) -> Option<Way> {
        self.endpoints.iter().filter_map(|endpoint| endpoint.peer.way(wire)).min()
    }
}

/// Ids win over upstream names, and of those the first in the file.
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

fn offer(model: &Model, catalog: &Catalog) -> Result<Offer, (Place, Fault)> {
    let known = catalog.llms.iter().find(|llm| llm.id == model.llm);
    let unpriced = || {
        let known: Vec<&str> = catalog.llms.iter().map(|llm| llm.id.as_str()).collect();
        (model.place, Fault::Unpriced { llm: model.llm.clone(), known: known.join(", ") })
    };
    let input_price = model.input_price.or(known.map(|llm| llm.input_price)).ok_or_else(unpriced)?;
    let output_price = model.output_price.or(known.map(|llm| llm.output_price)).ok_or_else(unpriced)?;
    let cached = model.cached_input_price.or(known.and_then(|llm| llm.cached_input_price));
    let capabilities = model.capabilities.clone();
    Ok(Offer {
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

    fn roster(models: &str) -> Roster {
        let text = format!(
            "version: 1\nupstreams: [{{name: u, kind: simulated}}]\nmodels: [{models}]\nbreaker: {{failures: 1, cooldown: 5s}}"
        );
        let loaded = config::parse(Path::new("f.yaml"), &text, &|_| None).unwrap();
        Roster::build(&loaded.config, &Catalog::default(), &http_client::tls().unwrap()).unwrap()
    }

    #[test]
    fn a_shut_upstream_leaves_the_probes_place_of_its_llm_free() {
        const SECOND: Duration = Duration::from_secs(1);
        let (roster, now) = (roster("{llm: a, upstream: u, input_price: 1, output_price: 1}"), Instant::now());
        let endpoint = &roster.llms()[0].endpoints[0];
        endpoint.breaker.cool(now, SECOND);
        endpoint.peer.breaker.failed(now);
        assert_eq!(endpoint.enter(now + 2 * SECOND), Gate::Shut(3 * SECOND));
        assert_eq!(endpoint.enter(now + 5 * SECOND), Gate::Open);
    }

    #[test]
    fn a_reload_keeps_what_was_learnt_of_a_place_and_not_what_it_cost() {
        let before = roster("{llm: a, upstream: u, input_price: 1, output_price: 1}");
        let mut roster = roster("{llm: a, upstream: u, input_price: 3, output_price: 1, region: eu}");
        roster.carry_on(&before);
        let (new, old) = (&roster.llms()[0].endpoints[0], &before.llms()[0].endpoints[0]);
        assert!(Arc::ptr_eq(&new.load, &old.load) && Arc::ptr_eq(&new.breaker, &old.breaker));
        assert_eq!((new.offer.input_price, new.offer.region.as_deref()), (3.0, Some("eu")));
    }
}
