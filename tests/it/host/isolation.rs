//! Nothing that a call leaves in its instance is visible to the next call, with the default limits.

use std::thread;

use personaroute_harness::bundle::BundleSpec;
use personaroute_harness::path;
use personaroute_host::{Limits, PluginSource, RouteError, Router};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::fixture::{Fixture, open_with, request};

/// What `leaks.wat` reports when it finds nothing.
const NOTHING: &str = "----";

/// What it reports in an instance that has served a call before.
const EVERYTHING: &str = "gtms";

/// What `remembers` reports in a fresh instance.
const NO_TEXTS: &str = "static: false, memory: false";

/// Opens a router with the default limits; an instance serves `instance_calls` calls if that is given.
fn open(plugin: PluginSource, instance_calls: Option<u32>) -> Fixture {
    open_with(&BundleSpec::default(), |options| {
        options.plugin = plugin;
        let default = Limits::default();
        options.limits =
            Limits { instance_calls: instance_calls.unwrap_or(default.instance_calls), sessions: 2, ..default };
    })
}

/// Encodes `leaks.wat` as a component of the plugin's world.
fn leaks() -> PluginSource {
    let mut module = wat::parse_str(include_str!("isolation/leaks.wat")).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(path::root().join("wit")).unwrap();
    let world = resolve.select_world(&[package], Some("router")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let component = ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap();
    let component: &'static [u8] = component.leak();
    component.into()
}

fn remembers() -> PluginSource {
    path::guest("remembers").into()
}

/// Returns what the plugin reports, or the label of the error.
fn report(router: &Router, text: &str) -> String {
    match router.route(&request(router, Some("even"), text)) {
        Err(RouteError::Plugin(report)) => report,
        Err(error) => error.label().to_owned(),
        Ok(_) => panic!("the plugin made a decision"),
    }
}

#[test]
fn memory_tables_and_globals_are_fresh_in_every_call() {
    let fixture = open(leaks(), None);
    for text in ["a secret", "another secret", "a third one"] {
        assert_eq!(report(&fixture.router, text), NOTHING);
    }
}

#[test]
fn memory_tables_and_globals_are_fresh_after_a_trap() {
    let fixture = open(leaks(), None);
    for _ in 0..3 {
        assert_eq!(report(&fixture.router, "trap of a secret"), "trapped");
        assert_eq!(report(&fixture.router, "a secret"), NOTHING);
    }
}

#[test]
fn concurrent_calls_never_see_each_others_state() {
    let fixture = open(leaks(), None);
    let calls = [("one secret", NOTHING), ("trap", "trapped"), ("two secrets", NOTHING), ("three", NOTHING)];
    let call_all = || {
        for (text, expected) in calls.iter().cycle().take(40) {
            assert_eq!(report(&fixture.router, text), *expected);
        }
    };
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(call_all))));
}

#[test]
fn an_instance_that_serves_two_calls_shows_the_second_what_the_first_left() {
    // This is what the tests above would see without isolation.
    let fixture = open(leaks(), Some(2));
    assert_eq!(report(&fixture.router, "a secret"), NOTHING);
    assert_eq!(report(&fixture.router, "another"), EVERYTHING);
    assert_eq!(report(&fixture.router, "a third"), NOTHING, "the limit holds");
}

#[test]
fn an_instance_that_trapped_serves_no_other_call() {
    let fixture = open(leaks(), Some(1000));
    assert_eq!(report(&fixture.router, "trap of a secret"), "trapped");
    assert_eq!(report(&fixture.router, "a secret"), NOTHING);
}

#[test]
fn a_plugin_in_rust_finds_no_text_of_an_earlier_call() {
    let fixture = open(remembers(), None);
    for text in ["a secret", "trap", "another secret", "a third one"] {
        let expected = if text == "trap" { "trapped" } else { NO_TEXTS };
        assert_eq!(report(&fixture.router, text), expected);
    }
    let kept = open(remembers(), Some(2));
    assert_eq!(report(&kept.router, "a secret"), NO_TEXTS);
    assert_eq!(report(&kept.router, "another"), "static: true, memory: true");
}
