//! Tests of the file and OpenTelemetry's environment variables together.

use super::*;

type Variables = &'static [(&'static str, &'static str)];

fn read(yaml: &str, variables: &[(&str, &str)]) -> Result<Option<Traces>, String> {
    let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let raw: raw::Traces = serde_saphyr::from_str(yaml).unwrap();
    let file = FileTraces::check(&raw, &env).map_err(|rejection| rejection.to_string())?;
    file.in_environment(&env).map_err(|error| error.to_string())
}

#[test]
fn without_an_endpoint_nothing_is_traced() {
    assert!(read("{}", &[]).unwrap().is_none());
    assert!(read("{}", &[("OTEL_SERVICE_NAME", "x")]).unwrap().is_none());
}

#[test]
fn the_file_says_where_and_how_much() {
    let yaml = "{endpoint: 'http://c:4318/', sample: 0.25, service: s, headers: {x-key: '${K}', x-team: search}}";
    let traces = read(yaml, &[("K", "secret")]).unwrap().unwrap();
    assert_eq!(traces.endpoint.to_string(), "http://c:4318/v1/traces");
    assert_eq!(traces.sampling, Sampling { share: 0.25, follows_parent: true });
    let headers: Vec<(&str, &str)> = traces.headers.iter().map(|(name, text)| (name.as_str(), text.expose())).collect();
    assert_eq!(headers, [("x-key", "secret"), ("x-team", "search")]);
    assert_eq!(traces.resource["service.name"], "s");
}

#[test]
fn the_standards_variables_override_the_file() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://shared"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://own/path"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20k, x-team=a"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=unused"),
        ("OTEL_SERVICE_NAME", "named"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
    ];
    let traces = read("{endpoint: 'http://c:4318'}", &variables).unwrap().unwrap();
    assert_eq!(traces.endpoint.to_string(), "https://own/path", "taken as it is");
    assert_eq!(traces.headers["authorization"].expose(), "Bearer k");
    assert_eq!(traces.sampling, Sampling { share: 0.5, follows_parent: false });
    assert_eq!(traces.resource["service.name"], "named");
    assert_eq!(traces.resource["deployment.environment.name"], "test");
    let shared = read("{}", &variables[..1]).unwrap().unwrap();
    assert_eq!(shared.endpoint.to_string(), "https://shared/v1/traces");
    for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        assert!(read("{endpoint: 'http://c'}", &[off]).unwrap().is_none(), "{off:?}");
    }
}

#[test]
fn a_value_that_cannot_be_used_is_named() {
    const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c");
    let refusals: [(&str, Variables, &str); 9] = [
        ("{endpoint: 'ftp://c'}", &[], "`traces.endpoint` must be an http or https URL"),
        ("{endpoint: 'http://a:sk-secret@c'}", &[], "1:12: `traces.endpoint` must not contain a user or a password"),
        ("{endpoint: 'http://c', sample: 2}", &[], "1:32: `traces.sample` must be from 0 to 1"),
        ("{endpoint: 'http://c', headers: {k: '${GONE}'}}", &[], "GONE"),
        ("{}", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317")], "OTEL_EXPORTER_OTLP_ENDPOINT must be"),
        ("{}", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:sk-secret@c")], "must not contain a user or a password"),
        ("{}", &[BASE, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf"),
        ("{}", &[BASE, ("OTEL_TRACES_SAMPLER", "sometimes")], "OTEL_TRACES_SAMPLER must be"),
        ("{}", &[BASE, ("OTEL_EXPORTER_OTLP_HEADERS", "sk-secret")], "OTEL_EXPORTER_OTLP_HEADERS must be key=value"),
    ];
    for (yaml, variables, expected) in refusals {
        let found = read(yaml, variables).unwrap_err();
        assert!(found.contains(expected) && !found.contains("sk-secret"), "{found}");
    }
}
