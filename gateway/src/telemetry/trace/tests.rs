//! Facts about which requests are traced, and how their spans hang together.

use super::*;

fn tracer(share: f64, follows_parent: bool) -> (Arc<Tracer>, mpsc::Receiver<Vec<Span>>) {
    let (tracer, spans) = Tracer::new(Sampling { share, follows_parent }, Arc::default());
    (Arc::new(tracer), spans)
}

fn headers(sampled: bool) -> HeaderMap {
    let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0{}", u8::from(sampled));
    let pairs = [("traceparent", parent.as_str()), ("tracestate", "v=1")];
    pairs.into_iter().map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())).collect()
}

#[test]
fn a_parent_decides_unless_it_is_not_followed() {
    for (share, follows, parent, expected) in [
        (0.0, true, Some(true), true),
        (1.0, true, Some(false), false),
        (0.0, false, Some(true), false),
        (1.0, false, Some(false), true),
        (1.0, true, None, true),
        (0.0, true, None, false),
    ] {
        let headers = parent.map(headers).unwrap_or_default();
        let is_traced = tracer(share, follows).0.begin(&headers).is_some();
        assert_eq!(is_traced, expected, "{share} {follows} {parent:?}");
    }
}

#[test]
fn a_share_of_the_traces_is_kept_by_their_ids() {
    assert!(is_within(u128::MAX, 1.0) && !is_within(0, 0.0));
    assert!(is_within((1 << 63) - 1, 0.5) && !is_within(1 << 63, 0.5));
}

#[test]
fn the_spans_of_a_request_leave_together_and_hang_together() {
    let (tracer, mut spans) = tracer(1.0, true);
    let mut trace = tracer.begin(&headers(true)).unwrap();
    let mut step = trace.step("decide", Kind::Internal, Instant::now());
    step.attributes.text("empty", "");
    step.attributes.number("n", 7);
    assert!(trace.parent_for(&step).starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    trace.end(step, true);
    assert!(spans.try_recv().is_err(), "nothing leaves before the end");
    trace.finish("POST /", Attributes::default(), false);
    let spans = spans.try_recv().unwrap();
    let [decide, root] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((root.parent, root.kind, &*root.state), (0xb7ad_6b71_6920_3331, Kind::Server, "v=1"));
    assert_eq!((decide.parent, decide.trace, decide.failed), (root.id, root.trace, true));
    assert!(root.start <= decide.start && decide.start <= decide.end && decide.end <= root.end);
    assert_eq!(decide.attributes.iter().collect::<Vec<_>>(), [("n", &Attribute::Whole(7))]);
}

#[test]
fn spans_that_nobody_takes_are_dropped_and_counted() {
    let metrics = Arc::<Metrics>::default();
    let (tracer, _spans) = Tracer::new(Sampling { share: 1.0, follows_parent: true }, Arc::clone(&metrics));
    let tracer = Arc::new(tracer);
    for _ in 0..=QUEUE {
        tracer.begin(&HeaderMap::new()).unwrap().finish("x", Attributes::default(), false);
    }
    assert!(metrics.render().contains(r#"personaroute_spans_total{outcome="dropped"} 1"#), "{}", metrics.render());
}
