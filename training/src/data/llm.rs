//! Reads the LLM metadata (`llms.json`): name → description, prices, the name the provider knows.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::DataError;
use super::{LlmInfo, open};

/// One entry; further keys (`org`, `size`, …) say nothing to the router. A price that is null is one nobody knows.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(default)]
    feature: String,
    #[serde(default)]
    input_price: Option<f32>,
    #[serde(default)]
    output_price: Option<f32>,
    #[serde(default)]
    model: Option<String>,
}

/// Reads the LLMs in the order of the file; `families` are name parts (`llm_family` of the configuration).
pub fn read(file: &Path, families: &[String]) -> Result<Vec<LlmInfo>, DataError> {
    let content = open::bytes(file)?;
    let entries: Map<String, Value> = serde_json::from_slice(&content)
        .map_err(|error| DataError::format(file, "a JSON object: name → description and prices", error.to_string()))?;
    if entries.is_empty() {
        return Err(DataError::format(file, "at least one LLM", "none"));
    }
    entries.into_iter().map(|(id, entry)| info(file, id, entry, families)).collect()
}

fn info(file: &Path, id: String, entry: Value, families: &[String]) -> Result<LlmInfo, DataError> {
    let entry: Entry = serde_json::from_value(entry).map_err(|error| {
        DataError::format(file, format!("feature, input_price and output_price of `{id}`"), error.to_string())
    })?;
    let prices @ [input_price, output_price] = [entry.input_price, entry.output_price].map(Option::unwrap_or_default);
    if prices.iter().any(|price| !price.is_finite() || *price < 0.0) {
        let expected = format!("prices of `{id}` of at least 0");
        return Err(DataError::format(file, expected, format!("{prices:?}")));
    }
    Ok(LlmInfo {
        description: entry.feature,
        model: entry.model.unwrap_or_else(|| id.clone()),
        input_price,
        output_price,
        family: families.iter().find(|family| belongs(&id, family)).cloned(),
        id,
    })
}

/// Whether a name holds a family's, in any case (`LLaMa` in `Llama-3-8B`).
fn belongs(id: &str, family: &str) -> bool {
    !family.is_empty() && id.to_lowercase().contains(&family.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, families: &[&str]) -> Result<Vec<LlmInfo>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("llms.json");
        std::fs::write(&file, text).unwrap();
        read(&file, &families.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn order_prices_and_families_are_kept() {
        let text = r#"{"z-Llama": {"feature": "z", "input_price": 0.2, "output_price": 0.4, "model": "up/z", "org": "M"},
                       "a": {"feature": "a", "input_price": 1, "output_price": null}}"#;
        let llms = read_text(text, &["qwen", "LLaMa"]).unwrap();
        assert_eq!((llms[0].id.as_str(), llms[0].model.as_str(), llms[0].output_price), ("z-Llama", "up/z", 0.4));
        assert_eq!(llms[0].family.as_deref(), Some("LLaMa"));
        assert_eq!((llms[1].model.as_str(), llms[1].output_price, llms[1].family.as_deref()), ("a", 0.0, None));
    }

    #[test]
    fn a_price_that_is_no_number_names_the_llm() {
        let error = read_text(r#"{"a": {"input_price": "cheap"}}"#, &[]).unwrap_err().to_string();
        assert!(error.contains("expected feature, input_price and output_price of `a`"), "{error}");
        let error = read_text(r#"{"a": {"input_price": -1}}"#, &[]).unwrap_err().to_string();
        assert!(error.contains("expected prices of `a` of at least 0"), "{error}");
    }
}
