//! Logging to stderr, as text for people or JSON for collectors.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// Starts logging; a second start in one process changes nothing.
///
/// # Errors
///
/// Fails when the filter cannot be read.
pub fn start(log: &Log) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::builder().parse(directives(&log.filter))?;
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    let _already_started = match log.format {
        LogFormat::Text => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    Ok(())
}

/// At level `info` ONNX Runtime's binding tells at each start which devices it sees, and that it knows an older version
/// best: nothing that an operator can act on. Who names it, or asks for more than `info`, gets it all.
fn directives(filter: &str) -> String {
    let is_info = filter.split(',').next().is_some_and(|first| first.trim() == "info");
    if is_info { format!("ort=warn,{filter}") } else { filter.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_info_the_runtime_only_warns_unless_it_is_named() {
        let filter = |text: &str| EnvFilter::builder().parse(directives(text)).unwrap().to_string();
        let has = |text: &str, directive: &str| filter(text).split(',').any(|part| part == directive);
        assert!(has("info", "ort=warn") && has("info", "info"));
        assert!(has("info,ort=debug", "ort=debug") && !has("info,ort=debug", "ort=warn"));
        for other in ["warn", "off", "debug", "ort=info"] {
            assert!(!has(other, "ort=warn"), "{other}");
        }
    }
}
