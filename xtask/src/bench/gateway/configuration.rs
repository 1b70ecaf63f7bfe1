//! The configuration of a measured gateway.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::bench::upstream::TlsUpstream;
use crate::workspace;

/// The LLM whose upstream speaks TLS.
pub(super) const TLS_LLM: &str = "over-tls";

/// The configuration that a gateway gets unless it has its own. The words in brackets are replaced.
const TEXT: &str = "\
# What `cargo xtask bench gateway` served.
version: 1
listen: {listen}
admin: null
bundle: default
upstreams:
  - { name: bench, kind: openai, base_url: \"http://{upstream}/v1\" }
  - { name: bench-tls, kind: openai, base_url: \"https://{tls_upstream}/v1\", ca: {ca} }
models:
{models}  - { llm: over-tls, upstream: bench-tls, input_price: 1.0, output_price: 1.0 }
virtual_models:
  - name: auto
    candidates: [{llms}]
log: { filter: warn }
";

/// Addresses of the services that a configuration names.
pub(super) struct Addresses<'a> {
    pub(super) listen: SocketAddr,
    pub(super) upstream: SocketAddr,
    pub(super) tls_upstream: &'a TlsUpstream,
}

/// Returns the text of `file`, or of the bench's own configuration, with its placeholders replaced.
pub(super) fn configuration(file: Option<&Path>, addresses: &Addresses<'_>, llms: &[String]) -> Result<String> {
    let text = match file {
        Some(file) => fs::read_to_string(file).with_context(|| file.display().to_string())?,
        None => TEXT.to_owned(),
    };
    let models: String =
        llms.iter().map(|llm| format!("  - {{ llm: {llm:?}, upstream: bench, name: {llm:?} }}\n")).collect();
    let quoted: Vec<String> = llms.iter().map(|llm| format!("{llm:?}")).collect();
    let filled = text
        .replace("{listen}", &addresses.listen.to_string())
        .replace("{upstream}", &addresses.upstream.to_string())
        .replace("{tls_upstream}", &format!("localhost:{}", addresses.tls_upstream.address.port()))
        .replace("{ca}", &addresses.tls_upstream.authority.display().to_string())
        .replace("{models}", &models)
        .replace("{llms}", &quoted.join(", "));
    Ok(filled)
}

/// Returns the LLMs of the default bundle.
pub(super) fn llms() -> Result<Vec<String>> {
    let file = workspace::root().join("configs/bundle/llms.yaml");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let ids = text.lines().filter_map(|line| line.trim_start_matches(['-', ' ']).strip_prefix("id: "));
    Ok(ids.map(|id| id.trim_matches(['"', '\'', ' ']).to_owned()).collect())
}
