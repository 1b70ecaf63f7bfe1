//! `Router`: opens the bundle, the runtimes and the plugin once, then decides requests.

mod candidates;
mod interaction;
mod request;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use self::candidates::{Candidates, Columns};
use crate::{
    Decision, DecisionFault, Interaction, OpenError, Profile, QueryFeatures, RouteError, RouteRequest, RouterOptions,
    UserState,
    bindings::exports::personaroute::router::routing,
    bundle::{folder::Bundle, manifest::TextEncoder},
    check,
    context::{Context, Users},
    convert,
    encoder::{Encoder, EncoderError},
    infer::{Backend, ort::Ort, ort::Runtime},
    plugin::Plugin,
    services::Services,
    truncate::truncate,
};

/// Decides which LLM serves a request. Share one in an `Arc`: every method takes `&self` and works on any thread.
///
/// Calls block: for microseconds with the `lexical` encoder, for milliseconds when an `embedding` encoder has to encode
/// a new text. On an async runtime, run them on blocking threads.
///
/// A failing plugin fails its call only: each call runs in its own instance, unless
/// [`Limits::instance_calls`](crate::Limits::instance_calls) lets instances serve several calls.
pub struct Router {
    plugin: Plugin,
    services: Arc<Services>,
    columns: Columns,
    limits: crate::Limits,
}

impl Router {
    /// Opens the bundle, ONNX Runtime, the encoder where the bundle needs one, and the plugin.
    ///
    /// # Errors
    ///
    /// Every error of [`OpenError`]; its text names the file or option to look at.
    pub fn open(options: &RouterOptions) -> Result<Self, OpenError> {
        options.limits.check()?;
        let bundle = Bundle::open(&options.bundle)?;
        let runtime = Runtime::load(options.onnxruntime.as_deref(), options.provider)?;
        let encoder = match &bundle.manifest.text_encoder {
            TextEncoder::Lexical(_) => None,
            TextEncoder::Embedding(spec) => Some(Encoder::open(&bundle, spec, &runtime, options)?),
        };
        let backend = Ort::open(&runtime, &bundle, options.limits.sessions)?;
        Self::assemble(options, bundle, Box::new(backend), encoder)
    }

    /// Opens a router whose graphs run on `backend`; the options about ONNX Runtime and the encoder are ignored.
    ///
    /// # Errors
    ///
    /// Every error of [`OpenError`] about the bundle, the plugin and the limits.
    pub fn with_backend(options: &RouterOptions, backend: Box<dyn Backend>) -> Result<Self, OpenError> {
        options.limits.check()?;
        let bundle = Bundle::open(&options.bundle)?;
        Self::assemble(options, bundle, backend, None)
    }

    /// Ranks the candidates of one request, best first.
    ///
    /// # Errors
    ///
    /// Every error of [`RouteError`].
    pub fn route(&self, request: &RouteRequest) -> Result<Decision, RouteError> {
        self.route_within(request, self.limits.deadline)
    }

    /// Ranks the candidates of one request as [`Self::route`] does, within `time` or [`Limits::deadline`], whichever is
    /// shorter.
    ///
    /// The plugin is interrupted at ticks of a sixteenth of [`Limits::deadline`], clamped to 1 to 10 ms: at most two ticks
    /// after `time`. A run of the scorer that has started is finished first.
    ///
    /// # Errors
    ///
    /// Every error of [`RouteError`].
    ///
    /// [`Limits::deadline`]: crate::Limits::deadline
    pub fn route_within(&self, request: &RouteRequest, time: Duration) -> Result<Decision, RouteError> {
        let started = Instant::now();
        request::check(request)?;
        let context = self.context([request], time);
        let tasks = request::tasks(self.bundle());
        let model = request::model(self.bundle(), &tasks);
        let candidates = self.candidates(request)?;
        let wit = request::wit(request, candidates.wit());
        let answer = self.plugin.call(context, |plugin, store| {
            let answer = plugin.personaroute_router_routing().call_route(&mut *store, model, wit);
            answer.map(|answer| answer.map_err(|error| plugin_error(error, store.data())))
        })??;
        into_decision(answer, request, started)
    }

    /// Returns one result for each request, in order.
    ///
    /// Up to [`Limits::batch`] requests share a call into the plugin, so that the scorer runs on batches. When a call fails,
    /// each of its requests has that error.
    ///
    /// [`Limits::batch`]: crate::Limits::batch
    pub fn route_batch(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        self.route_batch_within(requests, self.limits.deadline)
    }

    /// Returns one result for each request as [`Self::route_batch`] does; each call into the plugin is limited to `time` as in
    /// [`Self::route_within`].
    pub fn route_batch_within(&self, requests: &[RouteRequest], time: Duration) -> Vec<Result<Decision, RouteError>> {
        let batch = usize::try_from(self.limits.batch).unwrap_or(usize::MAX);
        request::chunks(requests, batch).flat_map(|chunk| self.route_chunk(chunk, time)).collect()
    }

    /// Returns the profile of a user who had `start` before these interactions, at most 4,096, from the bundle's adapter graph.
    ///
    /// `start` is the profile in the user table ([`Self::profile`]) or the prior ([`Self::prior`]), with all interactions since;
    /// a profile that was adapted already would count its interactions twice. Without interactions it is returned unchanged.
    ///
    /// # Errors
    ///
    /// Every error of [`RouteError`].
    pub fn adapt(&self, start: &Profile, interactions: &[Interaction]) -> Result<Profile, RouteError> {
        let user_dim = self.services.bundle.manifest.user_dim;
        request::check_profile(start, user_dim)?;
        let interactions = interaction::wit(interactions, &self.columns, self.bundle())?;
        let interactions: Vec<_> = interactions.iter().map(interaction::Columns::wit).collect();
        let tasks = request::tasks(self.bundle());
        let model = request::model(self.bundle(), &tasks);
        let context = Context::new(&self.services, Users::default(), &self.limits, self.limits.deadline);
        let answer = self.plugin.call(context, |plugin, store| {
            let learning = plugin.personaroute_router_learning();
            let answer = learning.call_adapt(&mut *store, model, start.into(), &interactions);
            answer.map(|answer| answer.map_err(|error| plugin_error(error, store.data())))
        })??;
        let adapted = Profile::from(answer);
        check::profile(&adapted, user_dim).map_err(RouteError::InvalidDecision)?;
        Ok(adapted)
    }

    /// Returns the features of a query's text, as the scorer takes them: what an [`Interaction`] keeps of the query, so that
    /// the text itself need not be kept.
    ///
    /// # Errors
    ///
    /// [`RouteError::Overloaded`], [`RouteError::Timeout`] and [`RouteError::Inference`] of the embedding encoder; the lexical
    /// encoding never fails.
    pub fn query_features(&self, text: &str) -> Result<QueryFeatures, RouteError> {
        let text = truncate(text, request::MAX_TEXT);
        match (&self.bundle().manifest.text_encoder, &self.services.encoder) {
            (TextEncoder::Lexical(lexical), _) => Ok(QueryFeatures::Ngrams(lexical.ids(text))),
            (TextEncoder::Embedding(_), None) => Ok(QueryFeatures::None),
            (TextEncoder::Embedding(_), Some(encoder)) => {
                let embedding = encoder.embed(text, Instant::now() + self.limits.deadline);
                embedding.map(QueryFeatures::Embedding).map_err(|error| match error {
                    EncoderError::Overloaded => RouteError::Overloaded,
                    EncoderError::Timeout => RouteError::Timeout,
                    EncoderError::Failed(reason) => RouteError::Inference(reason),
                })
            }
        }
    }

    /// Returns the profile of a user without interactions.
    pub fn prior(&self) -> Profile {
        Profile {
            embedding: self.bundle().manifest.prior.clone(),
            state: UserState::New,
            interactions: 0,
            preference: None,
            certainty: 0.0,
        }
    }

    /// Returns the profile that the bundle's user table has for `user`.
    pub fn profile(&self, user: &str) -> Option<Profile> {
        self.services.profile(user)
    }

    /// Returns the bundle: its manifest, LLM catalog, tasks and user table.
    pub fn bundle(&self) -> &Bundle {
        &self.services.bundle
    }

    fn assemble(
        options: &RouterOptions,
        bundle: Bundle,
        backend: Box<dyn Backend>,
        encoder: Option<Encoder>,
    ) -> Result<Self, OpenError> {
        let plugin = Plugin::open(&options.plugin, &options.limits)?;
        let columns = Columns::new(&bundle.catalog);
        let services = Arc::new(Services::new(bundle, backend, encoder));
        Ok(Self { plugin, services, columns, limits: options.limits.clone() })
    }

    fn route_chunk(&self, chunk: &[RouteRequest], time: Duration) -> Vec<Result<Decision, RouteError>> {
        let started = Instant::now();
        let prepare = |request| {
            request::check(request)?;
            self.candidates(request)
        };
        let checked: Vec<Result<Candidates, RouteError>> = chunk.iter().map(prepare).collect();
        let valid = chunk.iter().zip(&checked).filter_map(|(request, listed)| Some((request, listed.as_ref().ok()?)));
        let valid: Vec<(&RouteRequest, &Candidates)> = valid.collect();
        let mut decided = self.decide(&valid, started, time).into_iter();
        let result = |checked: Result<Candidates, RouteError>| match checked {
            // `decide` returns one result for each valid request.
            Ok(_) => decided.next().unwrap_or(Err(RouteError::Overloaded)),
            Err(error) => Err(error),
        };
        checked.into_iter().map(result).collect()
    }

    /// Returns one result for each of `requests`, which have passed `request::check`.
    fn decide(
        &self,
        requests: &[(&RouteRequest, &Candidates)],
        started: Instant,
        time: Duration,
    ) -> Vec<Result<Decision, RouteError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let context = self.context(requests.iter().map(|(request, _)| *request), time);
        let tasks = request::tasks(self.bundle());
        let model = request::model(self.bundle(), &tasks);
        let wit: Vec<_> = requests.iter().map(|(request, listed)| request::wit(request, listed.wit())).collect();
        let answers = self.plugin.call(context, |plugin, store| {
            let answers = plugin.personaroute_router_routing().call_route_batch(&mut *store, model, &wit)?;
            let refuse = |answer: Result<_, _>| answer.map_err(|error| plugin_error(error, store.data()));
            Ok(answers.into_iter().map(refuse).collect::<Vec<_>>())
        });
        let count = |answers: Vec<_>| match answers.len() {
            got if got == requests.len() => Ok(answers),
            got => Err(RouteError::InvalidDecision(DecisionFault::ResultCount { expected: requests.len(), got })),
        };
        match answers.and_then(count) {
            Ok(answers) => {
                let pairs = answers.into_iter().zip(requests);
                pairs.map(|(answer, (request, _))| into_decision(answer?, request, started)).collect()
            }
            Err(error) => requests.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn context<'a>(&self, requests: impl IntoIterator<Item = &'a RouteRequest>, time: Duration) -> Context {
        let users = requests.into_iter().filter_map(|request| {
            let user = request::user(request)?;
            Some((user.to_owned(), request.profile.clone()))
        });
        Context::new(&self.services, users.collect(), &self.limits, time.min(self.limits.deadline))
    }

    fn candidates(&self, request: &RouteRequest) -> Result<Candidates, RouteError> {
        Candidates::new(&request.candidates, &self.columns, &self.bundle().catalog)
    }
}

fn into_decision(answer: routing::Decision, request: &RouteRequest, started: Instant) -> Result<Decision, RouteError> {
    check::decision(&answer, &request.candidates).map_err(RouteError::InvalidDecision)?;
    Ok(Decision {
        ranking: convert::ranking(&answer.ranking, &request.candidates),
        user_state: answer.user_state.into(),
        task: answer.task.map(Into::into),
        why: answer.why,
        elapsed: started.elapsed(),
    })
}

/// Converts the plugin's error; a cause that the host has recorded takes precedence.
fn plugin_error(error: routing::RoutingError, context: &Context) -> RouteError {
    if context.timed_out {
        return RouteError::Timeout;
    }
    if context.overloaded {
        return RouteError::Overloaded;
    }
    match error {
        routing::RoutingError::InvalidRequest(reason) => RouteError::InvalidRequest(reason),
        routing::RoutingError::Inference(reason) => RouteError::Inference(reason),
        routing::RoutingError::Other(reason) => RouteError::Plugin(reason),
    }
}
