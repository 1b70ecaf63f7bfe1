//! A bar for each router: how much of the gap it closes.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;

use super::Row;

/// Size of the picture.
const SIZE: (u32, u32) = (900, 420);
/// Bars below this are cut: a router far below zero would flatten all others.
const FLOOR: f64 = -0.3;
/// The router's colour, and that of everything it is compared with.
const COLOURS: [RGBColor; 2] = [RGBColor(31, 119, 180), RGBColor(160, 160, 160)];

/// Writes the chart as SVG.
pub fn write(file: &Path, title: &str, rows: &[Row]) -> Result<()> {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    draw(&area, title, rows).map_err(|error| anyhow!("{error}")).with_context(|| format!("draw {}", file.display()))
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    rows: &[Row],
) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let top = rows.iter().map(|row| row.metrics.gap_closed).fold(0.1, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(210)
        .build_cartesian_2d(FLOOR..top, 0.0..rows.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_desc("gap closed (0: each user's best single LLM, 1: best LLM for each user and query)")
        .x_label_formatter(&|x| format!("{x:.2}"))
        .draw()?;
    for (at, row) in rows.iter().enumerate() {
        let y = (rows.len() - 1 - at) as f64;
        let gap = row.metrics.gap_closed;
        let colour = if row.name.starts_with("router") { COLOURS[0] } else { COLOURS[1] };
        let end = if gap.is_finite() { gap.max(FLOOR) } else { 0.0 };
        let bar = Rectangle::new([(0.0_f64.min(end), y + 0.15), (0.0_f64.max(end), y + 0.85)], colour.filled());
        chart.draw_series([bar])?;
        let (_, pixel) = chart.backend_coord(&(0.0, y + 0.62));
        let text = format!("{}  {:.1} %", row.name, 100.0 * gap);
        area.draw(&Text::new(text, (12, pixel), ("sans-serif", 14)))?;
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::metric::Metrics;

    #[test]
    fn every_router_stands_in_the_picture() {
        let folder = tempfile::tempdir().unwrap();
        let metrics = |gap_closed| Metrics {
            reward: 0.5,
            best_single_per_user: 0.25,
            oracle: 0.75,
            gap_closed,
            accuracy: 0.125,
            routed_differently: 0.0,
            performance: 0.5,
            cost: 0.25,
        };
        let rows = [("router", 0.2), ("cheapest", -5.0), ("nothing", f64::NAN)];
        let rows = rows.map(|(name, gap)| Row { name: name.to_owned(), metrics: metrics(gap) });
        let file = folder.path().join("gap.svg");
        write(&file, "a title", &rows).unwrap();
        let svg = std::fs::read_to_string(&file).unwrap();
        assert!(["a title", "router  20.0 %", "cheapest  -500.0 %"].iter().all(|text| svg.contains(text)), "{svg}");
    }
}
