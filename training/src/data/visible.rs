//! What a router may see of a data set: everything else is replaced by "not observed" before training begins.

use super::{Dataset, Setting, Split};

/// Returns the data set without the outcomes a router must not know.
///
/// In the R setting those are all of them (rewards come through interactions); in EC those of other than training queries.
pub fn visible(dataset: &Dataset, setting: Setting, split: &Split) -> Dataset {
    let mut seen = vec![false; dataset.queries.len()];
    if setting == Setting::EffectCost {
        for &query in &split.train {
            if let Some(flag) = seen.get_mut(query as usize) {
                *flag = true;
            }
        }
    }
    let mut shown = dataset.clone();
    for array in [&mut shown.effect, &mut shown.cost] {
        for (mut row, _) in array.rows_mut().into_iter().zip(&seen).filter(|(_, seen)| !**seen) {
            row.fill(f32::NAN);
        }
    }
    shown
}
