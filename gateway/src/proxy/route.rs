//! `/v1/route`: decisions without calls.

use std::{pin::pin, sync::Arc, time::Instant};

use http::{HeaderValue, Response, header, request::Parts};
use serde::Serialize;
use serde_json::{json, value::RawValue};

use super::{
    Error, Proxy, RequestBody, Snapshot, admit, decide,
    identify::Caller,
    knowledge::{self, Knowledge},
    read,
};
use crate::{
    api::{
        Invalid, Overrides, Wire,
        route::{self, RouteBody, RouteQuery},
    },
    decide::{Eligible, Plan, Policy, explain},
    upstream::{Body, body},
};

/// The response to a batch.
#[derive(Serialize)]
struct Decisions {
    decisions: Vec<Box<RawValue>>,
}

/// A validated query.
struct Prepared<'a> {
    policy: &'a Policy,
    eligible: Eligible<'a>,
    job: crate::routing::RouteJob,
}

impl Proxy {
    /// Serves `/v1/route` within `timeouts.total`.
    pub(super) async fn route<B: RequestBody>(
        &self,
        snapshot: &Snapshot,
        parts: &Parts,
        body: B,
    ) -> Result<Response<Body>, Error> {
        let deadline = Instant::now() + snapshot.config.timeouts.total;
        let routing = pin!(self.route_all(snapshot, parts, body));
        let decisions = tokio::time::timeout_at(deadline.into(), routing).await.unwrap_or(Err(Error::Timeout))?;
        let mut response = Response::new(body::full(decisions).with_deadline(deadline));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    /// Returns the decisions on all queries of a body. Each query counts as a request of the key.
    async fn route_all<B: RequestBody>(&self, snapshot: &Snapshot, parts: &Parts, body: B) -> Result<String, Error> {
        let _permit = self.permit()?;
        let caller = Caller::identify(&snapshot.config.auth, parts)?;
        let lease = admit::try_admit_route_request(&self.ledger, &snapshot.config.auth, &caller)?;
        let bytes = read::read_body(parts, body, &snapshot.config).await?;
        let text = std::str::from_utf8(&bytes).map_err(|error| Error::NotJson(error.to_string()))?;
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| Error::NotJson(error.to_string()))?;
        match route::read(text, snapshot.config.limits.batch)? {
            RouteBody::Single(query) => Ok(explained(&self.one(snapshot, &caller, &query).await?).to_string()),
            RouteBody::Batch(queries) => {
                if let Some(lease) = &lease {
                    lease.admit_batch(queries.len(), Instant::now()).map_err(Error::LimitReached)?;
                }
                let decisions = self.many(snapshot, &caller, queries).await;
                Ok(serde_json::to_string(&Decisions { decisions }).unwrap_or_default())
            }
        }
    }

    /// Keeps a decision that the client follows by itself.
    fn keep_alone(&self, snapshot: &Snapshot, plan: &Plan, user: Option<&str>, query: &RouteQuery) {
        let (Some(user), Some(chosen)) = (user, plan.chosen()) else { return };
        let llm = Arc::clone(&chosen.llm);
        self.keep_decision(snapshot, plan.clone(), Some(Arc::from(user)), llm, query.facts.text.clone());
    }

    async fn one(&self, snapshot: &Snapshot, caller: &Caller, query: &RouteQuery) -> Result<Plan, Error> {
        let Prepared { policy, eligible, job } = prepare(snapshot, caller, query)?;
        let user = job.request.user.clone();
        let knowledge = self.knowledge(snapshot, user.as_deref(), &policy.name).await;
        let result = snapshot.routing.route(knowledge.applied(job)).await;
        let plan = finished(policy, decide::plan(policy, eligible, result), &knowledge);
        self.keep_alone(snapshot, &plan, user.as_deref(), query);
        self.metrics.decided(plan.elapsed, plan.fallback_reason.map(|reason| reason.as_str()));
        Ok(plan)
    }

    /// Routes all valid queries in one call, and returns one decision or error for each query.
    async fn many(
        &self,
        snapshot: &Snapshot,
        caller: &Caller,
        queries: Vec<Result<RouteQuery, Invalid>>,
    ) -> Vec<Box<RawValue>> {
        let mut prepared = Vec::with_capacity(queries.len());
        let mut jobs = Vec::with_capacity(queries.len());
        for query in &queries {
            let ready = match query {
                Ok(query) => prepare(snapshot, caller, query).map(|ready| (ready, query)),
                Err(invalid) => Err(invalid.clone().into()),
            };
            prepared.push(match ready {
                Ok((ready, query)) => {
                    let user = ready.job.request.user.clone();
                    let knowledge = self.knowledge(snapshot, user.as_deref(), &ready.policy.name).await;
                    jobs.push(knowledge.applied(ready.job));
                    Ok((ready.policy, ready.eligible, knowledge, user, query))
                }
                Err(error) => Err(error),
            });
        }
        let mut results = snapshot.routing.route_batch(jobs).await.into_iter();
        let mut decisions = Vec::with_capacity(prepared.len());
        for ready in prepared {
            let decision = ready.map(|(policy, eligible, knowledge, user, query): (_, _, _, Option<String>, _)| {
                let result = results.next().unwrap_or(Err(personaroute_host::RouteError::Overloaded));
                let plan = finished(policy, decide::plan(policy, eligible, result), &knowledge);
                self.keep_alone(snapshot, &plan, user.as_deref(), query);
                plan
            });
            decisions.push(match decision {
                Ok(plan) => explained(&plan),
                Err(error) => refused(&error),
            });
        }
        decisions
    }
}

/// Returns the plan with what was learned, explored if the virtual model is.
fn finished(policy: &Policy, mut plan: Plan, knowledge: &Knowledge) -> Plan {
    plan.learned = knowledge.learned();
    knowledge::explore(policy, &mut plan);
    plan
}

fn prepare<'a>(snapshot: &'a Snapshot, caller: &Caller, query: &RouteQuery) -> Result<Prepared<'a>, Error> {
    read::check_user(query.user.as_deref(), snapshot.config.limits.user_chars)?;
    let models = &snapshot.models;
    let found = match &query.model {
        Some(name) => models.policy(name),
        None => models.first_policy(),
    };
    let overrides = Overrides {
        user: query.user.clone(),
        preference: query.preference,
        task: query.task.clone(),
        candidates: query.candidates.clone(),
        ..Overrides::default()
    };
    caller.check(&overrides)?;
    let policy = found.ok_or_else(|| Error::UnknownModel(query.model.clone().unwrap_or_default()))?;
    caller.check_model(&policy.name)?;
    let user = caller.user(query.user.as_deref());
    let input = decide::RoutingInput {
        wire: Wire::Chat,
        facts: &query.facts,
        user: user.as_deref(),
        task: query.task.as_deref(),
        preference: query.preference,
        only: query.candidates.as_deref(),
        prompt_tokens: query.prompt_tokens.unwrap_or_else(|| query.facts.prompt_tokens()),
        pin: None,
    };
    let eligible = decide::candidates(snapshot, policy, input, |_| None)?;
    let job = decide::route_job(policy, &eligible.specs, input);
    Ok(Prepared { policy, eligible, job })
}

/// Returns raw JSON, as a `Value` would print every f32 with the digits of an f64.
fn explained(plan: &Plan) -> Box<RawValue> {
    serde_json::value::to_raw_value(&explain::explain(plan, usize::MAX)).unwrap_or_default()
}

fn refused(error: &Error) -> Box<RawValue> {
    let error = json!({"message": error.to_string(), "param": error.param(), "code": error.label()});
    serde_json::value::to_raw_value(&json!({"error": error})).unwrap_or_default()
}
