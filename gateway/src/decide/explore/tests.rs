//! Tests of the exploration: who may be explored, and with which probability.

use std::sync::Arc;

use personaroute_host::Score;

use super::*;

fn plan(scores: &[(&str, f32, f32, f32)]) -> Plan {
    let ranked = |(llm, utility, effect, uncertainty): &(&str, f32, f32, f32)| Ranked {
        llm: Arc::from(*llm),
        score: Some(Score {
            llm: Arc::from(*llm),
            utility: *utility,
            effect: *effect,
            cost: 0.0,
            uncertainty: *uncertainty,
            excluded: None,
        }),
    };
    Plan { ranking: scores.iter().map(ranked).collect(), ..Plan::concrete("d".to_owned(), Arc::from("x")) }
}

/// Returns standard normal numbers from a fixed sequence (Box and Muller's transformation of a linear congruence).
fn normals() -> impl FnMut() -> f64 {
    let mut state = 7_u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    move || (-2.0 * (1.0 - uniform()).ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
}

const SCORES: [(&str, f32, f32, f32); 4] =
    [("a", 0.50, 0.9, 0.10), ("b", 0.46, 0.8, 0.20), ("c", 0.45, 0.1, 0.20), ("d", 0.10, 0.9, 3.0)];

#[test]
fn thompsons_shares_are_the_propensities() {
    let exploration = Exploration { by: Explore::Thompson, max_regret: 0.06, min_effect: Some(0.5) };
    let mut draw = normals();
    let mut counts = [0_u32; 4];
    const ROUNDS: u32 = 20_000;
    for _ in 0..ROUNDS {
        let mut explored = plan(&SCORES);
        exploration.apply(&mut explored, &mut draw);
        let first = &explored.ranking[0].llm;
        counts[SCORES.iter().position(|(llm, ..)| *llm == &**first).unwrap()] += 1;
    }
    assert_eq!(counts[2..], [0, 0], "c is below the quality floor, d above the regret");
    for (idx, count) in counts.into_iter().enumerate().take(2) {
        let share = f64::from(count) / f64::from(ROUNDS);
        let propensity = f64::from(exploration.propensity(&plan(&SCORES).ranking, SCORES[idx].0));
        assert!((share - propensity).abs() < 0.015, "{}: {share} and {propensity}", SCORES[idx].0);
    }
    assert_eq!(exploration.propensity(&plan(&SCORES).ranking, "d"), 0.0);
}

#[test]
fn the_upper_bound_explores_the_uncertain_llm_within_the_regret() {
    let exploration = Exploration { by: Explore::Ucb, max_regret: 0.06, min_effect: None };
    let mut explored = plan(&SCORES);
    exploration.apply(&mut explored, || 0.0);
    let order: Vec<&str> = explored.ranking.iter().map(|ranked| &*ranked.llm).collect();
    assert_eq!(order, ["b", "a", "c", "d"]);
    assert_eq!(exploration.propensity(&explored.ranking, "b"), 1.0);
    assert!(explored.why.starts_with("b is explored (ucb)"), "{}", explored.why);
}

#[test]
fn without_regret_or_scores_the_best_stays() {
    let exploration = Exploration { by: Explore::Thompson, max_regret: 0.0, min_effect: Some(2.0) };
    let mut explored = plan(&SCORES);
    exploration.apply(&mut explored, normals());
    assert_eq!(&*explored.ranking[0].llm, "a");
    assert_eq!(exploration.propensity(&explored.ranking, "a"), 1.0);
    let mut unscored = Plan::concrete("d".to_owned(), Arc::from("x"));
    exploration.apply(&mut unscored, normals());
    assert_eq!(unscored.explored, None);
}
