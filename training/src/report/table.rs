//! The table of routers, for markdown and for terminals (markdown reads well there too).

use super::Row;

const COLUMNS: [&str; 9] = [
    "router",
    "reward",
    "gap closed",
    "accuracy",
    "routed differently",
    "performance",
    "cost",
    "best single per user",
    "oracle",
];

/// Returns an aligned markdown table.
pub fn markdown(rows: &[Row]) -> String {
    let mut cells: Vec<[String; 9]> = vec![COLUMNS.map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        let m = &row.metrics;
        let percent = |share: f64| match share.is_finite() {
            true => format!("{:.1} %", 100.0 * share),
            // There is no gap where each user's best single LLM is the best for every query.
            false => "no gap".to_owned(),
        };
        [
            row.name.clone(),
            format!("{:.4}", m.reward),
            percent(m.gap_closed),
            percent(m.accuracy),
            percent(m.routed_differently),
            format!("{:.4}", m.performance),
            format!("{:.4}", m.cost),
            format!("{:.4}", m.best_single_per_user),
            format!("{:.4}", m.oracle),
        ]
    }));
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|column| {
            cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &[String; 9]| {
        let padded =
            row.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| {
                if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(at, &width)| match at {
            0 => "-".repeat(width + 2),
            _ => format!("{}:", "-".repeat(width + 1)),
        })
        .collect();
    let mut lines = cells.iter().map(line);
    let header = lines.next().unwrap_or_default();
    format!("{header}|{}|\n{}", rule.join("|"), lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::metric::Metrics;

    #[test]
    fn a_gap_of_nothing_is_no_share() {
        let metrics = Metrics { gap_closed: f64::NEG_INFINITY, ..Metrics::default() };
        let table = markdown(&[Row { name: "router".to_owned(), metrics }]);
        assert!(table.contains(" no gap ") && !table.contains("inf"), "{table}");
    }

    #[test]
    fn columns_are_aligned() {
        let metrics = Metrics {
            reward: 0.5,
            best_single_per_user: 0.25,
            oracle: 0.75,
            gap_closed: 0.5,
            accuracy: 0.125,
            routed_differently: 0.0,
            performance: 0.5,
            cost: 0.25,
        };
        let rows = ["router", "told_p_task_means"].map(|name| Row { name: name.to_owned(), metrics });
        let table = markdown(&rows);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()), "{table}");
        assert_eq!(
            lines[2],
            "| router            | 0.5000 |     50.0 % |   12.5 % |              0.0 % |      0.5000 | 0.2500 |               0.2500 | 0.7500 |"
        );
    }
}
