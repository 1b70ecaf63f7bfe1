//! What new LLMs earn: the share of what could be had of them, and the draw where they do worst.

use serde_json::{Map, Value, json};

use crate::eval::metric::Metrics;
use crate::report::Row;

/// Rows of one seed, by draw; the first two are "always known" and "never used".
pub(super) type Draws = Vec<Vec<Row>>;

/// What new LLMs earn after so many observed queries.
struct Gain {
    name: String,
    /// Points of gap over never using them.
    points: f64,
    /// Share of the points that LLMs known from the start would earn.
    share: f64,
    /// Points of the worst draw, mean over seeds.
    worst: f64,
}

/// Returns the means over draws.
pub(super) fn means(draws: &Draws) -> Vec<Row> {
    let of = |at: usize| draws.iter().filter_map(|rows| rows.get(at)).map(|row| row.metrics).collect::<Vec<_>>();
    let first = draws.first().map(Vec::as_slice).unwrap_or_default();
    first.iter().enumerate().map(|(at, row)| Row { name: row.name.clone(), metrics: Metrics::mean(&of(at)) }).collect()
}

/// Returns the gains of several seeds as JSON, by row.
pub(super) fn json(seeds: &[&Draws]) -> Map<String, Value> {
    let one = |gain: Gain| {
        let figures = json!({"points": gain.points, "share_of_attainable": gain.share, "worst_draw": gain.worst});
        (gain.name, figures)
    };
    gains(seeds).into_iter().map(one).collect()
}

/// Returns the gains of several seeds as a table; empty where there are none.
pub(super) fn markdown(seeds: &[&Draws]) -> String {
    let gains = gains(seeds);
    if gains.is_empty() {
        return String::new();
    }
    let mut text = "| new LLMs | points over never used | share of attainable | worst draw |\n".to_owned();
    text.push_str("|----------|-----------------------:|--------------------:|-----------:|\n");
    for Gain { name, points, share, worst } in gains {
        text.push_str(&format!("| {name} | {points:+.2} | {:.0} % | {worst:+.2} |\n", 100.0 * share));
    }
    text
}

fn gains(seeds: &[&Draws]) -> Vec<Gain> {
    let names: Vec<String> =
        seeds.first().and_then(|draws| draws.first()).into_iter().flatten().map(|row| row.name.clone()).collect();
    let draws = seeds.first().map_or(0, |draws| draws.len());
    let gap = |draws: &Draws, draw: usize, at: usize| {
        draws.get(draw).and_then(|rows| rows.get(at)).map_or(f64::NAN, |row| 100.0 * row.metrics.gap_closed)
    };
    // Mean over seeds of what a row earns in one draw.
    let of = |draw: usize, at: usize| {
        let sum: f64 = seeds.iter().map(|draws| gap(draws, draw, at) - gap(draws, draw, 1)).sum();
        sum / seeds.len().max(1) as f64
    };
    let mean = |at: usize| (0..draws).map(|draw| of(draw, at)).sum::<f64>() / draws.max(1) as f64;
    let attainable = mean(0);
    let rows = names.into_iter().enumerate().skip(2);
    rows.map(|(at, name)| {
        let points = mean(at);
        let worst = (0..draws).map(|draw| of(draw, at)).fold(f64::INFINITY, f64::min);
        Gain { name, points, share: points / attainable, worst }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, gap_closed: f64) -> Row {
        let metrics = Metrics {
            reward: 0.0,
            best_single_per_user: 0.0,
            oracle: 0.0,
            gap_closed,
            accuracy: 0.0,
            routed_differently: 0.0,
            performance: 0.0,
            cost: 0.0,
        };
        Row { name: name.to_owned(), metrics }
    }

    #[test]
    fn gains_are_measured_from_never_using_new_llms() {
        let draw = |gap| vec![row("always_known", 0.5), row("new_llms_never_used", 0.1), row("observed_10", gap)];
        let (one, other) = (vec![draw(0.3), draw(0.1)], vec![draw(0.5), draw(0.0)]);
        let gains = json(&[&one, &other]);
        let figure = |name: &str| gains["observed_10"][name].as_f64().unwrap();
        // Draws earn 30 and −5 points on average, of 40.
        assert!((figure("points") - 12.5).abs() < 1e-9 && (figure("share_of_attainable") - 0.3125).abs() < 1e-9);
        assert!((figure("worst_draw") + 5.0).abs() < 1e-9);
        assert!(markdown(&[&one]).contains("| observed_10 | +10.00 | 25 % | +0.00 |"), "{}", markdown(&[&one]));
        assert!((means(&one)[2].metrics.gap_closed - 0.2).abs() < 1e-12);
        assert!(json(&[]).is_empty() && markdown(&[]).is_empty());
    }
}
