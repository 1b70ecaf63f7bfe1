//! Every text file: registries are reached through their clients, so no file names their hosts.

use super::tree::Tree;

const REGISTRIES: &[&str] = &["pypi", "pythonhosted", "crates", "npmjs", "debian"];
const ENDINGS: &[&str] = &[".org", ".io", ".com"];

/// Written by cargo, not by people.
const GENERATED: &[&str] = &["Cargo.lock"];

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let hosts: Vec<String> =
        REGISTRIES.iter().flat_map(|name| ENDINGS.iter().map(move |ending| format!("{name}{ending}"))).collect();
    let mut found = Vec::new();
    for source in tree.sources.iter().filter(|source| !GENERATED.contains(&source.path.as_str())) {
        for (number, line) in source.text.lines().enumerate() {
            for host in hosts.iter().filter(|host| line.contains(host.as_str())) {
                found.push(format!("{}:{}: names the registry host {host}", source.path, number + 1));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_host_is_found_wherever_it_stands() {
        let line = ["a\nsee https://py", "pi.org/project/x"].concat();
        let found = problems(&Tree::of(&[("docs/a.md", &line), ("Cargo.lock", &line)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("docs/a.md:2: names the registry host"));
    }
}
