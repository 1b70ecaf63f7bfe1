//! Operations on what was learned: by the running gateway, over its admin listener, or else in this process.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use super::{Failed, serve::runtime};
use crate::{
    app::App,
    cli,
    config::{self, Loaded, Secret},
    telemetry::log,
    upstream::{Body, Failure, http_client},
};

/// Most time of a connection to the admin listener.
const CONNECT: Duration = Duration::from_secs(2);

/// Most time of one operation: an erasure copies the whole store.
const OPERATION: Duration = Duration::from_secs(120);

/// Who carries out operations.
pub(super) struct Operator {
    runtime: tokio::runtime::Runtime,
    gateway: Gateway,
}

enum Gateway {
    /// A gateway runs with this configuration.
    Running { client: http_client::HttpClient, authority: String, token: Option<Secret> },
    /// None runs: the store is opened here.
    Local(Box<App>),
}

impl Operator {
    /// Finds the gateway that runs with the configuration, or opens its store.
    pub(super) fn find(learned: &cli::Learned, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failed> {
        let loaded = config::load(&learned.config, &learned.overrides, env)?;
        let mut quiet = loaded.config.log.clone();
        "warn".clone_into(&mut quiet.filter);
        log::start(&quiet).map_err(|error| Failed::Usage(format!("log.filter: {error}")))?;
        let runtime = runtime()?;
        let gateway = match runtime.block_on(running(&loaded))? {
            Some(running) => running,
            None if matches!(&loaded.config.learning, Some(learning) if learning.store == config::LearningStore::Memory) =>
            {
                let advice = "no gateway runs with this configuration, which keeps signals in memory only";
                return Err(Failed::Usage(advice.to_owned()));
            }
            None => Gateway::Local(Box::new(App::build(&loaded)?)),
        };
        Ok(Self { runtime, gateway })
    }

    /// Carries out one operation; returns the JSON that answers it.
    pub(super) fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Value, Failed> {
        let sent = self
            .runtime
            .block_on(async { tokio::time::timeout(OPERATION, self.send(method, path, Bytes::from(body))).await });
        sent.map_err(|_| Failed::Usage("the gateway did not answer in time".to_owned()))?
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Value, Failed> {
        let response = match &self.gateway {
            Gateway::Running { client, authority, token } => {
                let request = request(&method, &format!("http://{authority}{path}"), token.as_ref(), body)?;
                client.send(request).await.map_err(|failure| Failed::Usage(failure.to_string()))?
            }
            Gateway::Local(app) => app.proxy().operate(request(&method, path, None, body)?).await,
        };
        read(response).await
    }
}

/// Returns the gateway that listens where `loaded` says, if one does.
async fn running(loaded: &Loaded) -> Result<Option<Gateway>, Failed> {
    let Some(address) = loaded.config.admin.filter(|address| address.port() != 0) else { return Ok(None) };
    let tls = http_client::tls().map_err(|error| Failed::Usage(error.to_string()))?;
    let client = http_client::HttpClient::new(&tls, http_client::ConnectionLimits { connect: CONNECT, max_idle: 1 });
    let authority = address.to_string();
    let probe = request(&Method::GET, &format!("http://{authority}/healthz"), None, Bytes::new())?;
    match client.send(probe).await {
        Ok(_) => Ok(Some(Gateway::Running { client, authority, token: loaded.config.admin_token.clone() })),
        Err(Failure::Connect(_)) => Ok(None),
        Err(failure) => Err(Failed::Usage(format!("the admin listener {address}: {failure}"))),
    }
}

fn request(method: &Method, url: &str, token: Option<&Secret>, body: Bytes) -> Result<Request<Full<Bytes>>, Failed> {
    let mut request = Request::builder().method(method).uri(url);
    if let Some(authority) = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()) {
        request = request.header(header::HOST, authority);
    }
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
    }
    request.body(Full::new(body)).map_err(|error| Failed::Usage(error.to_string()))
}

async fn read(response: Response<Body>) -> Result<Value, Failed> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| Failed::Usage(error.to_string()))?.to_bytes();
    let text = || String::from_utf8_lossy(&body).trim().to_owned();
    let reply: Value = serde_json::from_slice(&body).unwrap_or_default();
    if head.status.is_success() {
        return Ok(reply);
    }
    let message = reply.pointer("/error/message").and_then(Value::as_str).map_or_else(text, str::to_owned);
    Err(Failed::Refused { status: head.status, message })
}
