//! The tables of what becomes of each field in translation: they are part of the documentation, and the tests translate each
//! example and compare.

mod chat;
mod messages;
mod responses;

use self::Treatment::{Dropped, Kept, Mended, Refused, Renamed};
use super::Format;
use crate::api::Wire;

/// One row of a table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The field, or the case.
    pub field: &'static str,
    /// Fields of a request that show the case, as JSON.
    pub example: &'static str,
    /// What becomes of it.
    pub treatment: Treatment,
    /// The vendor's page and field that it follows, or a note.
    pub source: &'static str,
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// The field stays as it is.
    Kept,
    /// The value stays, at this JSON pointer and as this JSON.
    Renamed(&'static str, &'static str),
    /// The value changes to what the other format takes: at this JSON pointer, as this JSON; without JSON it is absent.
    Mended(&'static str, &'static str),
    /// Nothing is sent, as it only tunes or labels the output.
    Dropped,
    /// The request is refused with this `param`.
    Refused(&'static str),
}

/// The table of one direction.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The client's format.
    pub wire: Wire,
    /// The upstream's format.
    pub to: Format,
    /// The rows.
    pub rows: &'static [Row],
}

/// All tables.
pub const TABLES: [Table; 4] = [
    Table { wire: Wire::Chat, to: Format::Anthropic, rows: chat::TO_MESSAGES },
    Table { wire: Wire::Messages, to: Format::Openai, rows: messages::TO_CHAT },
    Table { wire: Wire::Responses, to: Format::Anthropic, rows: responses::TO_MESSAGES },
    Table { wire: Wire::Responses, to: Format::Openai, rows: responses::TO_CHAT },
];

/// Returns the tables as a page of documentation.
pub fn markdown() -> String {
    let tables = TABLES.iter().map(Table::markdown).collect::<Vec<_>>().join("\n");
    format!("{INTRODUCTION}\n{tables}")
}

const INTRODUCTION: &str = "# Translation

What becomes of the fields of a request if its upstream speaks another format. Each row is an example that a test translates;
the page is written by `PERSONAROUTE_UPDATE_DOCS=1 cargo test --workspace --test it tables`.

- *kept*: the same field with the same value
- *renamed*: the same value in the other format's field
- *mended*: a value that the other vendor's validator refuses or misreads becomes one that it takes
- *dropped*: not sent, because it only tunes or labels the output
- *refused*: 400, and `param` names the field; with several candidates the request goes to another one

Sources are pages of the vendors' documentation: \"Messages\" is Anthropic's Messages API, \"Chat\" and \"Responses\" are OpenAI's
APIs, guides are those of the upstream's vendor.
";

impl Table {
    fn markdown(&self) -> String {
        let rows: String = self.rows.iter().map(Row::markdown).collect();
        let title = match self.wire {
            Wire::Chat => "Chat completions",
            Wire::Messages => "Messages",
            Wire::Responses | Wire::Completions | Wire::Embeddings => "Responses",
        };
        let target = match self.to {
            Format::Openai => "OpenAI's chat completions",
            Format::Anthropic => "Anthropic's messages",
        };
        format!(
            "## {title} to {target}\n\n| field | treatment | in the upstream's request | source |\n| --- | --- | --- | --- |\n{rows}"
        )
    }
}

impl Row {
    fn markdown(&self) -> String {
        let at = |pointer: &str, value: &str| match value {
            "" => format!("no `{}`", dotted(pointer)),
            value => format!("`{}` = `{}`", dotted(pointer), value.replace('|', "\\|")),
        };
        let (word, result) = match self.treatment {
            Kept => ("kept", String::new()),
            Renamed(pointer, value) => ("renamed", at(pointer, value)),
            Mended(pointer, value) => ("mended", at(pointer, value)),
            Dropped => ("dropped", String::new()),
            Refused(param) => ("refused", format!("`param`: `{param}`")),
        };
        format!("| {} | {word} | {result} | {} |\n", self.field, self.source)
    }
}

/// Returns a JSON pointer as the path that errors use.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for step in pointer.split('/').skip(1) {
        if step.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{step}]"));
        } else {
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(step);
        }
    }
    path
}

/// Returns a row.
const fn row(field: &'static str, example: &'static str, treatment: Treatment, source: &'static str) -> Row {
    Row { field, example, treatment, source }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::{
        Invalid,
        translate::{Dialect, Translation},
    };

    fn translated(table: &Table, example: &str) -> Result<Value, Invalid> {
        let mut request = match table.wire {
            Wire::Responses => json!({"model": "auto", "input": "hi"}),
            Wire::Messages => {
                json!({"model": "auto", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]})
            }
            Wire::Chat | Wire::Completions | Wire::Embeddings => {
                json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]})
            }
        };
        let example: Value = serde_json::from_str(example).unwrap();
        request.as_object_mut().unwrap().extend(example.as_object().unwrap().clone());
        let translation = Translation::of(table.wire, table.to, request.to_string().as_bytes())?;
        Ok(serde_json::from_slice(&translation.body("m", Dialect::default())).unwrap())
    }

    #[test]
    fn every_row_is_what_the_translation_does() {
        for table in &TABLES {
            let plain = translated(table, "{}").unwrap();
            for row in table.rows {
                let place = format!("{} to {:?}: {}", table.wire.as_str(), table.to, row.field);
                let result = translated(table, row.example);
                let example: Value = serde_json::from_str(row.example).unwrap();
                match row.treatment {
                    Refused(param) => assert_eq!(result.unwrap_err().param, param, "{place}"),
                    Dropped => assert_eq!(result.unwrap(), plain, "{place}"),
                    Kept => {
                        let result = result.unwrap();
                        let (name, _) = example.as_object().unwrap().iter().next_back().unwrap();
                        assert_eq!(result[name], example[name], "{place}");
                    }
                    Renamed(pointer, value) | Mended(pointer, value) => {
                        let result = result.unwrap();
                        let expected: Option<Value> = (!value.is_empty()).then(|| serde_json::from_str(value).unwrap());
                        assert_eq!(result.pointer(pointer), expected.as_ref(), "{place}: {result}");
                    }
                }
            }
        }
    }

    #[test]
    fn paths_are_written_as_in_errors() {
        assert_eq!(dotted("/messages/0/content/1/text"), "messages[0].content[1].text");
    }
}
