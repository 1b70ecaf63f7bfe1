//! `/v1/users`: what is known of users, for themselves and for operators.

mod view;

use http::{Method, Response, request::Parts};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use self::view::UserView;
use super::{
    Error, Proxy, RequestBody, Snapshot, admit,
    error::Permission,
    feedback::{json, query_value},
    identify::Caller,
    knowledge, read,
};
use crate::{
    api::Invalid,
    learning::{Interaction, Page, Removed, UserData},
    upstream::Body,
};

/// Most rows of a page.
const PAGE: usize = 1_000;

/// How many times as long as a feedback an import may be.
const IMPORT_BODIES: usize = 100;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Requester<'a> {
    /// A client, who may see its own user or, with `can_impersonate`, all.
    Client(&'a Parts),
    /// The operator, over the admin listener.
    Operator(&'a Parts),
}

/// A declared preference.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preference {
    preference: Option<f32>,
}

/// What was erased.
#[derive(Serialize)]
struct Erased {
    erased: Removed,
}

/// How many signals were new.
#[derive(Serialize)]
struct Imported {
    imported: usize,
}

/// Everything about a user, for another gateway.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Export {
    version: u32,
    user: String,
    #[serde(flatten)]
    data: UserData,
}

/// The version of [`Export`].
const EXPORT_VERSION: u32 = 1;

/// Returns the part of `path` after `/v1/users`, if it is one of these paths.
pub(super) fn path(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/users").filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl<'a> Requester<'a> {
    fn parts(self) -> &'a Parts {
        match self {
            Self::Client(parts) | Self::Operator(parts) => parts,
        }
    }
}

impl Proxy {
    /// Serves `/v1/users` and what is below it; `rest` is the path after it.
    pub(super) async fn users<B: RequestBody>(
        &self,
        snapshot: &Snapshot,
        requester: Requester<'_>,
        rest: &str,
        body: B,
    ) -> Result<Response<Body>, Error> {
        self.learning()?;
        let _permit = self.permit()?;
        let parts = requester.parts();
        let caller = match requester {
            Requester::Client(parts) => Some(Caller::identify(&snapshot.config.auth, parts)?),
            Requester::Operator(_) => None,
        };
        let _lease = match &caller {
            Some(caller) => admit::try_admit_route_request(&self.ledger, &snapshot.config.auth, caller)?,
            None => None,
        };
        if matches!(rest, "" | "/") {
            let may_list = caller.as_ref().is_none_or(Caller::is_anybody);
            return if may_list { self.list(parts).await } else { Err(Error::Forbidden(Permission::User)) };
        }
        let mut segments = rest.trim_start_matches('/').splitn(2, '/');
        let user = segments.next().unwrap_or_default();
        let user = percent_decode_str(user).decode_utf8().map_err(|_| Invalid::new("user", "a user id is UTF-8"))?;
        read::check_user(Some(&user), snapshot.config.limits.user_chars)?;
        if caller.is_some_and(|caller| !caller.may_speak_for(&user)) {
            return Err(Error::Forbidden(Permission::User));
        }
        match (segments.next(), &parts.method) {
            (None, &Method::GET) => self.show(snapshot, &user).await,
            (None, &Method::DELETE) => self.erase(snapshot, &user).await,
            (None, _) => Err(Error::Method { allowed: "GET, DELETE" }),
            (Some("preference"), &Method::PUT) => self.declare(snapshot, &user, parts, body).await,
            (Some("preference"), _) => Err(Error::Method { allowed: "PUT" }),
            (Some("export"), &Method::GET) => self.export(&user).await,
            (Some("export"), _) => Err(Error::Method { allowed: "GET" }),
            (Some("import"), &Method::POST) => self.import(snapshot, &user, parts, body).await,
            (Some("import"), _) => Err(Error::Method { allowed: "POST" }),
            (Some(_), _) => Err(Error::UnknownPath),
        }
    }

    /// Returns a page of interactions, for the operator.
    pub(super) async fn interactions(&self, parts: &Parts) -> Result<Response<Body>, Error> {
        let since = match query_value(parts, "since") {
            Some(since) => since.parse().map_err(|_| Invalid::new("since", "`since` is milliseconds since 1970"))?,
            None => 0,
        };
        let page = self.learning()?.interactions(since, query_value(parts, "after"), most(parts)?);
        let page: Page<Interaction> = page.await?;
        Ok(json(&page))
    }

    async fn list(&self, parts: &Parts) -> Result<Response<Body>, Error> {
        if parts.method != Method::GET {
            return Err(Error::Method { allowed: "GET" });
        }
        let page = self.learning()?.users(query_value(parts, "after"), most(parts)?).await?;
        Ok(json(&page))
    }

    async fn show(&self, snapshot: &Snapshot, user: &str) -> Result<Response<Body>, Error> {
        let learning = self.learning()?;
        let data = learning.user(user).await?;
        let (known, _) = learning.known(user, &knowledge::target(snapshot)).await;
        let is_trained = snapshot.routing.scorer().knows(user);
        Ok(json(&UserView::of(user, &data, known.as_deref(), is_trained)))
    }

    async fn erase(&self, snapshot: &Snapshot, user: &str) -> Result<Response<Body>, Error> {
        let erased = self.learning()?.erase(user, &knowledge::target(snapshot)).await?;
        self.metrics.usage().forget(user);
        Ok(json(&Erased { erased }))
    }

    async fn declare<B: RequestBody>(
        &self,
        snapshot: &Snapshot,
        user: &str,
        parts: &Parts,
        body: B,
    ) -> Result<Response<Body>, Error> {
        let learning = self.learning()?;
        let bytes = read::read_body_within(parts, body, &snapshot.config, learning.config().body).await?;
        let declared: Preference =
            serde_json::from_slice(&bytes).map_err(|error| Invalid::new("preference", error.to_string()))?;
        if declared.preference.is_some_and(|preference| !(0.0..=1.0).contains(&preference)) {
            return Err(Invalid::new("preference", "the preference must be from 0 to 1").into());
        }
        learning.declare(user, declared.preference, &knowledge::target(snapshot)).await?;
        Ok(json(&declared))
    }

    async fn export(&self, user: &str) -> Result<Response<Body>, Error> {
        let data = self.learning()?.user(user).await?;
        Ok(json(&Export { version: EXPORT_VERSION, user: user.to_owned(), data }))
    }

    async fn import<B: RequestBody>(
        &self,
        snapshot: &Snapshot,
        user: &str,
        parts: &Parts,
        body: B,
    ) -> Result<Response<Body>, Error> {
        let learning = self.learning()?;
        let most = learning.config().body.saturating_mul(IMPORT_BODIES);
        let bytes = read::read_body_within(parts, body, &snapshot.config, most).await?;
        let export: Export = serde_json::from_slice(&bytes).map_err(|error| Error::NotJson(error.to_string()))?;
        if export.version != EXPORT_VERSION {
            let message = format!("expected {EXPORT_VERSION}, found {}", export.version);
            return Err(Invalid::new("version", message).into());
        }
        for signal in &export.data.signals {
            signal.said.check()?;
        }
        if export.data.declared.is_some_and(|declared| !(0.0..=1.0).contains(&declared.preference)) {
            return Err(Invalid::new("declared", "the preference must be from 0 to 1").into());
        }
        let imported = learning.import(user, export.data, &knowledge::target(snapshot)).await?;
        Ok(json(&Imported { imported }))
    }
}

/// Returns the number of rows of a page.
fn most(parts: &Parts) -> Result<usize, Invalid> {
    match query_value(parts, "limit").map(|limit| limit.parse::<usize>()) {
        None => Ok(PAGE),
        Some(Ok(limit)) if (1..=PAGE).contains(&limit) => Ok(limit),
        Some(_) => Err(Invalid::new("limit", format!("`limit` is a number from 1 to {PAGE}"))),
    }
}
