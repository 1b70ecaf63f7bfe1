//! A request's candidates in columns, as the WIT package has them, so that they are passed to the plugin in few copies.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::{
    Candidate, RouteError,
    bindings::exports::personaroute::router::routing,
    bundle::catalog::{Catalog, Llm},
};

/// Marks a missing value in a column of numbers.
const NONE: u32 = u32::MAX;

/// The scorer column of each LLM in the catalog.
pub(super) struct Columns(HashMap<String, usize, RandomState>);

impl Columns {
    pub(super) fn new(catalog: &Catalog) -> Self {
        Self(catalog.llms.iter().enumerate().map(|(column, llm)| (llm.id.clone(), column)).collect())
    }

    /// Returns the column of `llm`. Candidates are often in the catalog's order, so column `hint` is tried first.
    pub(super) fn of(&self, llm: &str, catalog: &Catalog, hint: usize) -> Option<usize> {
        let is_hint = catalog.llms.get(hint).is_some_and(|known: &Llm| known.id == llm);
        if is_hint { Some(hint) } else { self.0.get(llm).copied() }
    }
}

/// The candidates of one request.
pub(super) struct Candidates {
    ids: String,
    id_ends: Vec<u32>,
    columns: Vec<u32>,
    input_prices: Vec<f32>,
    output_prices: Vec<f32>,
    context_windows: Vec<u32>,
}

impl Candidates {
    /// Converts `candidates`, whose ids must be unique.
    pub(super) fn new(candidates: &[Candidate], columns: &Columns, catalog: &Catalog) -> Result<Self, RouteError> {
        let count = candidates.len();
        let mut listed = Self {
            // Most ids are shorter.
            ids: String::with_capacity(16 * count),
            id_ends: Vec::with_capacity(count),
            columns: Vec::with_capacity(count),
            input_prices: candidates.iter().map(|candidate| candidate.input_price).collect(),
            output_prices: candidates.iter().map(|candidate| candidate.output_price).collect(),
            context_windows: candidates.iter().map(|candidate| candidate.context_window.unwrap_or(NONE)).collect(),
        };
        let mut seen = vec![false; catalog.llms.len()];
        let mut unknown = Vec::new();
        let mut hint = 0;
        for Candidate { llm, .. } in candidates {
            listed.ids.push_str(llm);
            listed.id_ends.push(narrow(listed.ids.len()));
            let column = columns.of(llm, catalog, hint);
            match column {
                Some(column) => hint = column + 1,
                None => unknown.push(&**llm),
            }
            let known = column.and_then(|column| seen.get_mut(column));
            if known.is_some_and(|seen| std::mem::replace(seen, true)) {
                return Err(duplicate(llm));
            }
            listed.columns.push(column.map_or(NONE, narrow));
        }
        unknown.sort_unstable();
        match unknown.array_windows().find(|[left, right]| left == right) {
            Some([llm, _]) => Err(duplicate(llm)),
            None => Ok(listed),
        }
    }

    pub(super) fn wit(&self) -> routing::Candidates<'_> {
        routing::Candidates {
            ids: &self.ids,
            id_ends: &self.id_ends,
            columns: &self.columns,
            input_prices: &self.input_prices,
            output_prices: &self.output_prices,
            context_windows: &self.context_windows,
        }
    }
}

fn duplicate(llm: &str) -> RouteError {
    RouteError::InvalidRequest(format!("candidate {llm} appears twice"))
}

/// Converts a column or an offset. The manifest bounds columns far below; the plugin refuses ids this long, as their
/// offsets do not increase.
fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn llm(id: &str) -> Llm {
        Llm {
            id: id.to_owned(),
            model: id.to_owned(),
            input_price: 1.0,
            output_price: 2.0,
            cached_input_price: None,
            context_window: None,
            capabilities: Vec::new(),
            description: String::new(),
        }
    }

    fn list(ids: &[&str]) -> Result<Candidates, RouteError> {
        let catalog = Catalog { llms: ["a", "bb", "c"].map(llm).into() };
        let candidate = |id: &&str| Candidate { context_window: Some(9), ..Candidate::from_catalog(&llm(id)) };
        let candidates: Vec<_> = ids.iter().map(candidate).collect();
        Candidates::new(&candidates, &Columns::new(&catalog), &catalog)
    }

    #[test]
    fn known_llms_have_their_columns_in_any_order() {
        let listed = list(&["bb", "c", "new", "a"]).unwrap();
        assert_eq!((listed.ids.as_str(), listed.id_ends), ("bbcnewa", vec![2, 3, 6, 7]));
        assert_eq!(listed.columns, [1, 2, NONE, 0]);
        assert_eq!((listed.input_prices[2], listed.output_prices[3], listed.context_windows[0]), (1.0, 2.0, 9));
    }

    #[test]
    fn a_duplicate_candidate_is_named() {
        let refusal = |ids: &[&str]| list(ids).err().unwrap().to_string();
        assert_eq!(refusal(&["a", "bb", "a"]), "invalid request: candidate a appears twice");
        assert_eq!(refusal(&["new", "a", "new"]), "invalid request: candidate new appears twice");
    }
}
