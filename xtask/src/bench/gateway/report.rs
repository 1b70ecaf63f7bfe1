//! The tables: what each variant took, and one gateway beside another.

use std::fmt::Write as _;

use anyhow::Result;

use super::variant::{Placement, Setting, Variant};
use super::{NGINX, OTHER_PASSED, OTHER_ROUTED, PASSED, REQUESTS, ROUTED};

/// The variants that are compared with the same of another gateway.
const PAIRS: [(&str, &str, &str); 2] = [("passed through", PASSED, OTHER_PASSED), ("routed", ROUTED, OTHER_ROUTED)];

/// Returns the whole report.
pub(super) fn report(settings: &[Setting], rounds: usize, against: Option<&str>) -> Result<String> {
    let mut text = format!(
        "# What the gateway adds\n\n`cargo xtask bench gateway`: chats over connections that stay open, not streamed; \
         gateway, upstream and load on the same machine. {rounds} rounds of {REQUESTS}, the variants taken in turns; \
         latencies are medians of the rounds.\n"
    );
    if let Some(against) = against {
        paired(&mut text, settings, against)?;
    }
    for setting in settings {
        table(&mut text, setting)?;
    }
    Ok(text)
}

/// Adds what memory stays resident: before the models are loaded, and after each of the looks of a long run.
pub(super) fn memory(text: &mut String, before_models: Option<u64>, after: &[u64], look: usize) -> Result<()> {
    if let Some(kilobytes) = before_models {
        writeln!(text, "\nResident before ONNX Runtime and the models are loaded: {} MB.", kilobytes / 1_000)?;
    }
    let megabytes: Vec<String> = after
        .iter()
        .map(|kilobytes| format!("{:.1}", f64::from(u32::try_from(*kilobytes).unwrap_or(u32::MAX)) / 1e3))
        .collect();
    let total = look * after.len();
    writeln!(text, "\nResident, in MB, after each {look} of {total} further routed chats: {}.", megabytes.join(", "))?;
    Ok(())
}

/// Adds the table of both gateways: each figure is this one's over the other's.
fn paired(text: &mut String, settings: &[Setting], against: &str) -> Result<()> {
    write!(
        text,
        "\n## Beside another gateway\n\nThe other is `{against}`. Each ratio is of this gateway over the other in the same \
         round: the median of the rounds, and in brackets the quartiles. Processor time is of all rounds.\n\n\
         | setting | variant | p50 | chats/s | processor time per chat |\n| --- | --- | ---: | ---: | ---: |\n"
    )?;
    for setting in settings {
        for (what, new, old) in PAIRS {
            if let (Some(new), Some(old)) = (setting.find(new), setting.find(old)) {
                let p50 = spread(ratios(new.medians(), old.medians()));
                let throughput = spread(ratios(new.throughputs(), old.throughputs()));
                let processor = match (new.per_core(), old.per_core()) {
                    (Some(new), Some(old)) => format!("{:.3}", old / new),
                    _ => "–".to_owned(),
                };
                writeln!(text, "| {} | {what} | {p50} | {throughput} | {processor} |", title(setting))?;
            }
        }
    }
    Ok(())
}

/// Adds the table of one setting, and what it says of the gateway.
fn table(text: &mut String, setting: &Setting) -> Result<()> {
    let Some(first) = setting.variants.first() else { return Ok(()) };
    write!(
        text,
        "\n| {} | p50 µs | p95 µs | p99 µs | added p50 | added p99 | chats/s | chats/s per core used |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        title(setting)
    )?;
    let added = |variant: &Variant, share| variant.micros(share).saturating_sub(first.micros(share));
    for variant in &setting.variants {
        let (p50, p95, p99) = (variant.micros(0.5), variant.micros(0.95), variant.micros(0.99));
        let (more50, more99) = (added(variant, 0.5), added(variant, 0.99));
        let per_core = variant.per_core().map_or_else(|| "–".to_owned(), |per_core| format!("{per_core:.0}"));
        let (name, speed) = (variant.name, variant.throughput());
        writeln!(text, "| {name} | {p50} | {p95} | {p99} | {more50} | {more99} | {speed:.0} | {per_core} |")?;
    }
    let passed = setting.find(PASSED);
    if let (Some(nginx), Some(passed)) = (setting.find(NGINX), passed) {
        let ratio = added(passed, 0.5) as f64 / added(nginx, 0.5).max(1) as f64;
        let rounds = differences(passed, first).zip(differences(nginx, first));
        let (low, high) = middle_half(rounds.map(|(passed, nginx)| passed / nginx.max(1.0)));
        writeln!(
            text,
            "\nAdded at the median, passed through: {ratio:.2} times what nginx adds (half of the rounds: {low:.2} to {high:.2})."
        )?;
    }
    if let (Some(passed), Some(routed)) = (passed, setting.find(ROUTED)) {
        let more = added(routed, 0.5).saturating_sub(added(passed, 0.5));
        let (low, high) = middle_half(differences(routed, passed));
        writeln!(text, "\nAdded at the median by routing: {more} µs (half of the rounds: {low:.0} to {high:.0}).")?;
    }
    Ok(())
}

fn title(setting: &Setting) -> String {
    let placement = match setting.placement {
        Placement::OneCore => ", all on one core",
        Placement::BusyCores => ", cores kept awake",
        Placement::AllCores => "",
    };
    let tls = if setting.is_tls { ", TLS to the upstream" } else { "" };
    format!("connections: {}{placement}{tls}", setting.connections)
}

/// Returns by how much the median of each round exceeds that of `base` in the same round, in microseconds.
fn differences(variant: &Variant, base: &Variant) -> impl Iterator<Item = f64> {
    variant.medians().zip(base.medians()).map(|(own, base)| own - base)
}

fn ratios(new: impl Iterator<Item = f64>, old: impl Iterator<Item = f64>) -> impl Iterator<Item = f64> {
    new.zip(old).map(|(new, old)| new / old)
}

/// Returns the median of the values, with the quartiles in brackets.
fn spread(values: impl Iterator<Item = f64>) -> String {
    let values = sorted(values);
    let (low, high) = quartiles(&values);
    let median = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    format!("{median:.3} ({low:.3} to {high:.3})")
}

/// Returns the quartiles between which half of the values lie.
fn middle_half(values: impl Iterator<Item = f64>) -> (f64, f64) {
    quartiles(&sorted(values))
}

fn quartiles(sorted: &[f64]) -> (f64, f64) {
    let at = |idx: usize| sorted.get(idx).copied().unwrap_or(f64::NAN);
    (at(sorted.len() / 4), at(sorted.len() * 3 / 4))
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_values_lie_between_the_quartiles() {
        let values = [9.0, 1.0, 2.0, 3.0, 100.0, 4.0, 5.0, 6.0];
        assert_eq!(middle_half(values.into_iter()), (3.0, 9.0));
        assert_eq!(spread(ratios(values.into_iter(), std::iter::repeat(2.0))), "2.500 (1.500 to 4.500)");
    }
}
