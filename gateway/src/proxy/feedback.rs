//! `/v1/feedback`: accepts what users say about answers, and takes it back.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderName, HeaderValue, Method, Response, header, request::Parts};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::{Error, Proxy, RequestBody, Snapshot, admit, identify::Caller, knowledge, read};
use crate::{
    api::{
        Invalid,
        feedback::{self, About, Feedback},
    },
    learning::{Accepted, Learning, LearningError, Owner, Refusal},
    state::LimitExceeded,
    upstream::{Body, body},
};

/// Why signals do not survive the process.
const IN_MEMORY: &str = "signals are kept in memory: set `state.file` or `learning.file` to keep them after a restart";

/// Whether signals survive the process.
const DURABLE: HeaderName = HeaderName::from_static("x-personaroute-durable");

/// The response to a feedback.
#[derive(Serialize)]
struct Acknowledgement<'a> {
    /// Whether it counts: a duplicate has counted before.
    accepted: bool,
    duplicate: bool,
    /// The user's signals.
    signals: usize,
    user_state: &'static str,
    /// The id with which it can be taken back.
    decision_id: &'a str,
    /// Whether it survives the process.
    durable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    /// The LLM that is ranked next.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<Retry<'a>>,
}

#[derive(Serialize)]
struct Retry<'a> {
    /// The LLM to name as `model`.
    model: &'a str,
}

/// The response to a feedback that is taken back.
#[derive(Serialize)]
struct Withdrawal {
    removed: usize,
}

impl Proxy {
    /// Serves `/v1/feedback`.
    pub(super) async fn feedback<B: RequestBody>(
        &self,
        snapshot: Arc<Snapshot>,
        parts: &Parts,
        body: B,
    ) -> Result<Response<Body>, Error> {
        if parts.method != Method::POST {
            return Err(Error::Method { allowed: "POST" });
        }
        let learning = self.learning()?;
        let _permit = self.permit()?;
        let caller = Caller::identify(&snapshot.config.auth, parts)?;
        let lease = admit::try_admit_route_request(&self.ledger, &snapshot.config.auth, &caller)?;
        let bytes = read::read_body_within(parts, body, &snapshot.config, learning.config().body).await?;
        let text = std::str::from_utf8(&bytes).map_err(|error| Error::NotJson(error.to_string()))?;
        let feedback = feedback::read(text, SystemTime::now())?;
        check_age(&feedback, learning)?;
        let named = match &feedback.about {
            About::Answer { user, .. } => user.as_deref(),
            About::Decision(_) => None,
        };
        check_answer(&snapshot, &feedback)?;
        let owner = owner(&caller, named, snapshot.config.limits.user_chars)?;
        let accepted = learning.submit(feedback, owner, &knowledge::target(&snapshot)).await?;
        drop(lease);
        Ok(acknowledge(&accepted, learning, user_state(&snapshot, &accepted)))
    }

    /// Serves `/v1/feedback/{decision_id}`.
    pub(super) async fn withdraw(&self, snapshot: &Snapshot, parts: &Parts) -> Result<Response<Body>, Error> {
        if parts.method != Method::DELETE {
            return Err(Error::Method { allowed: "DELETE" });
        }
        let learning = self.learning()?;
        let caller = Caller::identify(&snapshot.config.auth, parts)?;
        let _lease = admit::try_admit_route_request(&self.ledger, &snapshot.config.auth, &caller)?;
        let id = parts.uri.path().strip_prefix("/v1/feedback/").unwrap_or_default();
        let id = percent_decode_str(id).decode_utf8_lossy().into_owned();
        let named = query_value(parts, "user");
        let owner = owner(&caller, named.as_deref(), snapshot.config.limits.user_chars)?;
        let (_, removed) = learning.withdraw(id, owner, &knowledge::target(snapshot)).await?;
        Ok(json(&Withdrawal { removed }))
    }

    /// Returns the learning, unless it is switched off.
    pub(super) fn learning(&self) -> Result<&Arc<Learning>, Error> {
        self.learning.as_ref().ok_or(Error::LearningOff)
    }
}

/// Returns a JSON response.
pub(super) fn json<T: Serialize>(value: &T) -> Response<Body> {
    let text = serde_json::to_string(value).unwrap_or_default();
    let mut response = Response::new(body::full(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns the value of `key` in the query of the URL.
pub(super) fn query_value(parts: &Parts, key: &str) -> Option<String> {
    let pairs = parts.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.into_iter().find(|(name, _)| *name == key)?.1;
    Some(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
}

/// Returns whose decisions the caller may speak about.
fn owner(caller: &Caller, named: Option<&str>, most: usize) -> Result<Owner, Error> {
    read::check_user(named, most)?;
    if let Some(named) = named
        && !caller.may_speak_for(named)
    {
        return Err(Error::Forbidden(super::error::Permission::User));
    }
    let named = caller.user(named).map(|user| user.to_string());
    Ok(Owner { named, is_anybody: caller.is_anybody() })
}

/// Refuses signals that would be removed at once.
fn check_age(feedback: &Feedback, learning: &Learning) -> Result<(), Invalid> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let oldest = now.saturating_sub(learning.config().retention);
    match feedback.at {
        Some(at) if Duration::from_millis(at) < oldest => {
            Err(Invalid::new("at", "`at` is older than `learning.retention_days`"))
        }
        _ => Ok(()),
    }
}

/// Refuses LLMs that are not configured: a misspelled name would count for nobody.
fn check_answer(snapshot: &Snapshot, feedback: &Feedback) -> Result<(), Invalid> {
    if matches!(feedback.about, About::Decision(_)) {
        return Ok(());
    }
    match feedback
        .said
        .llms()
        .into_iter()
        .find(|(_, llm)| snapshot.models.find(llm).is_none_or(|found| &*found.id != *llm))
    {
        Some((field, llm)) => Err(Invalid::new(field, format!("`{llm}` is no LLM of this gateway"))),
        None => Ok(()),
    }
}

/// Returns the state of the user after the feedback.
fn user_state(snapshot: &Snapshot, accepted: &Accepted) -> &'static str {
    let profile = accepted.known.as_ref().and_then(|known| known.profile.as_ref());
    match profile {
        Some(profile) => profile.state.as_str(),
        None if snapshot.routing.scorer().knows(&accepted.user) => "known",
        None => "new",
    }
}

fn acknowledge(accepted: &Accepted, learning: &Learning, user_state: &'static str) -> Response<Body> {
    let durable = learning.is_durable();
    let mut response = json(&Acknowledgement {
        accepted: !accepted.is_duplicate,
        duplicate: accepted.is_duplicate,
        signals: accepted.signals,
        user_state,
        decision_id: &accepted.decision,
        durable,
        note: (!durable).then_some(IN_MEMORY),
        retry: accepted.next_best.as_deref().map(|model| Retry { model }),
    });
    response.headers_mut().insert(DURABLE, HeaderValue::from_static(if durable { "true" } else { "false" }));
    response
}

impl From<LearningError> for Error {
    fn from(error: LearningError) -> Self {
        match error {
            LearningError::Refused(Refusal::UnknownDecision) => Self::UnknownDecision,
            LearningError::Refused(Refusal::Invalid(invalid)) => Self::Invalid(invalid),
            LearningError::Refused(refusal @ Refusal::NoUser) => {
                Self::Invalid(Invalid::new("user", refusal.to_string()))
            }
            LearningError::Refused(Refusal::TooMany(retry_after)) => {
                Self::LimitReached(LimitExceeded { limit: "signals_per_minute", retry_after })
            }
            LearningError::Unavailable(reason) => Self::LearningUnavailable(reason),
        }
    }
}
