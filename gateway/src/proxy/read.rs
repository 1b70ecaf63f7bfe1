//! The read phase: authenticates the caller, reads the body within its limits, and parses the fields that the gateway uses.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use memchr::memmem;

use super::{
    Error, RequestBody, Snapshot,
    identify::Caller,
    response_memory::{Pin, Resolved, ResponseMemory},
};
use crate::{
    api::{
        Document, Facts, Fields, Invalid, Overrides, Wire,
        translate::{Format, Translation, reasoning},
    },
    config::Config,
};

/// A parsed request.
#[derive(Debug)]
pub(super) struct ParsedRequest<'a> {
    pub(super) wire: Wire,
    /// The original body, with the positions of `model`.
    pub(super) document: Document,
    /// The requested model.
    pub(super) model: String,
    pub(super) facts: Facts,
    pub(super) overrides: Overrides,
    pub(super) caller: Caller,
    /// The user.
    pub(super) user: Option<Arc<str>>,
    pub(super) headers: &'a HeaderMap,
    pub(super) query: Option<&'a str>,
    /// The translations into each format of [`Format::ALL`].
    translations: [OnceLock<Result<Translation, Invalid>>; 2],
    carries_reasoning: OnceLock<bool>,
    /// What the request refers to.
    pub(super) resolved: Resolved,
    /// The body with what it refers to in its input, for upstreams that store nothing.
    expanded: Option<String>,
}

impl<'a> ParsedRequest<'a> {
    /// Reads the request.
    pub(super) async fn read<B: RequestBody>(
        wire: Wire,
        parts: &'a Parts,
        body: B,
        config: &Config,
    ) -> Result<Self, Error> {
        // Unauthorized callers are refused before the body is read.
        let caller = Caller::identify(&config.auth, parts)?;
        let overrides = Overrides::read(&parts.headers)?;
        caller.check(&overrides)?;
        let bytes = read_body(parts, body, config).await?;
        let text = std::str::from_utf8(&bytes).map_err(|error| Error::NotJson(error.to_string()))?;
        let fields = Fields::parse(text).map_err(|error| Error::NotJson(error.to_string()))?;
        let facts = Facts::read(wire, &fields)?;
        let model = fields.string("model").ok_or_else(|| Invalid::new("model", "`model` is required: a string"))?;
        caller.check_model(&model)?;
        let user = caller.user(overrides.user.as_deref().or(facts.user.as_deref()));
        check_user(user.as_deref(), config.limits.user_chars)?;
        let document = Document::new(bytes.clone(), &fields);
        let (headers, query) = (&parts.headers, parts.uri.query());
        let (translations, carries_reasoning) = (Default::default(), OnceLock::new());
        Ok(Self {
            wire,
            document,
            model,
            facts,
            overrides,
            caller,
            user,
            headers,
            query,
            translations,
            carries_reasoning,
            resolved: Resolved::default(),
            expanded: None,
        })
    }

    /// Finds in `memory` what the request refers to.
    ///
    /// # Errors
    ///
    /// Refuses a reference whose endpoint is gone or unknown, naming the field.
    pub(super) fn resolve_references(&mut self, memory: &ResponseMemory, snapshot: &Snapshot) -> Result<(), Invalid> {
        let caller = self.caller.name();
        self.resolved = memory.resolve(snapshot, &caller, &self.model, &self.facts.references)?;
        let text = std::str::from_utf8(self.document.bytes()).unwrap_or_default();
        self.expanded = memory.expand(&caller, &Fields::parse(text).unwrap_or_default());
        let added = self.expanded.as_ref().map_or(0, |expanded| expanded.len().saturating_sub(text.len()));
        self.facts.prompt_bytes += added;
        Ok(())
    }

    /// Returns the endpoint to which the request belongs, if it belongs to one.
    pub(super) fn pin(&self) -> Option<&Pin> {
        self.resolved.pin.as_ref()
    }

    /// Returns whether the request brings back reasoning of an upstream of another format, which no upstream of its own takes.
    pub(super) fn carries_reasoning(&self) -> bool {
        *self.carries_reasoning.get_or_init(|| {
            matches!(self.wire, Wire::Messages | Wire::Responses)
                && memmem::find(self.document.bytes(), reasoning::MARKER.as_bytes()).is_some()
        })
    }

    /// Returns the request in the format `to`; the first call translates it.
    pub(super) fn translation(&self, to: Format) -> Result<&Translation, &Invalid> {
        let [openai, anthropic] = &self.translations;
        let translation = match to {
            Format::Openai => openai,
            Format::Anthropic => anthropic,
        };
        let body = self.expanded.as_ref().map_or_else(|| &self.document.bytes()[..], String::as_bytes);
        translation.get_or_init(|| Translation::of(self.wire, to, body)).as_ref()
    }
}

/// Refuses user ids that are too long.
pub(super) fn check_user(user: Option<&str>, most: usize) -> Result<(), Invalid> {
    match user {
        Some(user) if user.chars().count() > most => {
            Err(Invalid::new("user", format!("a user id has at most {most} characters")))
        }
        _ => Ok(()),
    }
}

/// Reads the whole body: `model` may be anywhere in it, and the query is usually at its end.
pub(super) async fn read_body<B: RequestBody>(parts: &Parts, body: B, config: &Config) -> Result<Bytes, Error> {
    read_body_within(parts, body, config, config.limits.body).await
}

/// Reads the whole body of at most `limit` bytes.
pub(super) async fn read_body_within<B: RequestBody>(
    parts: &Parts,
    body: B,
    config: &Config,
    limit: usize,
) -> Result<Bytes, Error> {
    let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > limit) {
        return Err(Error::BodyTooLarge { limit });
    }
    let collected = Box::pin(Limited::new(body, limit).collect());
    match tokio::time::timeout(config.timeouts.body_read, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Error::BodyTooLarge { limit }),
        Ok(Err(error)) => Err(Error::BodyBroken(error)),
        Err(_) => Err(Error::BodyTimeout),
    }
}
