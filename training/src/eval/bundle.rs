//! An exported bundle behind the trait of all routers: the very `Router` that serves, plugin and ONNX Runtime included.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ndarray::Array2;
use personaroute_host::{Candidate, RouteRequest, Router as Host, RouterOptions, installed};

use crate::data::{Dataset, UserInfo};

use crate::model::Router;

/// Queries handed to the host at once.
const BATCH: usize = 64;

/// Users and queries of a data set, asked of a bundle.
pub struct Bundle<'a> {
    name: &'static str,
    host: &'a Host,
    dataset: &'a Dataset,
    users: &'a [UserInfo],
    declared: bool,
    candidates: Vec<Candidate>,
}

/// Opens a bundle with the plugin at `plugin`, else the one that `PERSONAROUTE_PLUGIN` names, else the installed one.
pub fn open(bundle: &Path, plugin: Option<PathBuf>, encoder: Option<PathBuf>) -> Result<Host> {
    let named = || std::env::var_os("PERSONAROUTE_PLUGIN").map(PathBuf::from);
    let Some(plugin) = plugin.or_else(named).or_else(|| installed::part(installed::PLUGIN)) else {
        bail!("no plugin is installed beside this program: give --plugin FILE or PERSONAROUTE_PLUGIN");
    };
    let mut options = RouterOptions::new(bundle, plugin);
    options.encoder = encoder.or_else(|| std::env::var_os("PERSONAROUTE_ENCODER_DIR").map(PathBuf::from));
    Host::open(&options).with_context(|| format!("open the bundle {}", bundle.display()))
}

impl<'a> Bundle<'a> {
    /// Asks with the task declared.
    pub fn declared(host: &'a Host, dataset: &'a Dataset, users: &'a [UserInfo]) -> Result<Self> {
        Self::new("router", host, dataset, users, true)
    }

    /// Asks with the task unknown.
    pub fn unknown(host: &'a Host, dataset: &'a Dataset, users: &'a [UserInfo]) -> Result<Self> {
        Self::new("router_task_unknown", host, dataset, users, false)
    }

    fn new(
        name: &'static str,
        host: &'a Host,
        dataset: &'a Dataset,
        users: &'a [UserInfo],
        declared: bool,
    ) -> Result<Self> {
        let catalog = &host.bundle().catalog;
        let candidate = |id: &str| {
            let column = catalog.column(id).and_then(|column| catalog.llms.get(column));
            column.map(Candidate::from_catalog).with_context(|| format!("the bundle does not know the LLM {id}"))
        };
        let candidates = dataset.llms.iter().map(|llm| candidate(&llm.id)).collect::<Result<_>>()?;
        Ok(Self { name, host, dataset, users, declared, candidates })
    }

    fn request(&self, user: &UserInfo, query: u32) -> RouteRequest {
        let query = self.dataset.queries.get(query as usize);
        let task = query.and_then(|query| self.dataset.tasks.get(query.task as usize));
        RouteRequest {
            user: Some(user.id.clone()),
            text: query.map(|query| query.text.clone()).unwrap_or_default(),
            task: task.filter(|_| self.declared).map(|task| task.name.clone()),
            candidates: self.candidates.clone(),
            ..RouteRequest::default()
        }
    }
}

impl Router for Bundle<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn utilities(&self, user: usize, queries: &[u32]) -> Result<Array2<f64>> {
        let user = self.users.get(user).with_context(|| format!("no user {user}"))?;
        let mut utilities = Array2::from_elem((queries.len(), self.candidates.len()), f64::NAN);
        for (chunk, queries) in queries.chunks(BATCH).enumerate() {
            let requests: Vec<RouteRequest> = queries.iter().map(|&query| self.request(user, query)).collect();
            for (at, decision) in self.host.route_batch(&requests).into_iter().enumerate() {
                let decision = decision.with_context(|| format!("route a query of user {}", user.id))?;
                let row = utilities.row_mut(chunk * BATCH + at);
                for (utility, candidate) in row.into_iter().zip(&self.candidates) {
                    let score = decision.ranking.iter().find(|score| score.llm == candidate.llm);
                    *utility = score.map_or(f64::NAN, |score| f64::from(score.utility));
                }
            }
        }
        Ok(utilities)
    }
}
