//! The pages of documentation that are written from the tables in the code.

use personaroute_gateway::{api::translate::table, proxy::failure_table};
use personaroute_harness::path;

/// Compares the page `file` with `text`, or writes it if `PERSONAROUTE_UPDATE_DOCS` is set.
fn check(file: &str, text: &str) {
    let file = path::root().join(file);
    if std::env::var_os("PERSONAROUTE_UPDATE_DOCS").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == text, "{} is out of date: see its first lines", file.display());
}

#[test]
fn the_page_of_translations_is_the_table_of_the_code() {
    check("docs/translation.md", &table::markdown());
}

#[test]
fn the_page_of_failures_is_the_table_of_the_code() {
    check("docs/failures.md", &failure_table::markdown());
}
