//! The chat page loads nothing from elsewhere, and is there before anybody has a key.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Reply},
    wire,
};

use super::test_gateway::TestGateway;

/// The page's files with the beginnings of their content types.
const PARTS: [(&str, &str); 7] = [
    ("/", "text/html"),
    ("/chat.css", "text/css"),
    ("/chat.js", "text/javascript"),
    ("/element.js", "text/javascript"),
    ("/gateway.js", "text/javascript"),
    ("/markdown.js", "text/javascript"),
    ("/why.js", "text/javascript"),
];

const KEYS: &str = "
auth:
  mode: keys
  keys:
    - {name: team, sha256: e5c4224ebc9128d62514e9289e8e299c92872e2590deb3afac3ca0b84afb26a8}
";

#[tokio::test]
async fn the_page_and_its_parts_come_without_a_key_under_a_strict_policy() -> Result<()> {
    let (cheap, premium) = (FakeUpstream::always(Reply::chat("ok"))?, FakeUpstream::always(Reply::chat("ok"))?);
    let gateway = TestGateway::between(&cheap, &premium, KEYS)?;
    for (path, kind) in PARTS {
        let part = wire::get(gateway.address, path).await?;
        assert_eq!((part.status, part.header("x-content-type-options")), (200, "nosniff"), "{path}");
        assert!(part.header("content-type").starts_with(kind), "{path}");
        let policy = part.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!part.text().contains("://"), "{path} names another place");
    }
    assert_eq!(wire::get(gateway.address, "/v1/models").await?.status, 401, "what the page then shows needs a key");
    Ok(())
}

#[tokio::test]
async fn the_page_has_no_code_or_style_inside_and_every_part_its_scripts_ask_for() -> Result<()> {
    let (cheap, premium) = (FakeUpstream::always(Reply::chat("ok"))?, FakeUpstream::always(Reply::chat("ok"))?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    let page = wire::get(gateway.address, "/").await?.text();
    for inside in ["<style", " style=", " onclick=", "<script>"] {
        assert!(!page.contains(inside), "the policy would refuse {inside}");
    }
    assert!(page.contains("href=\"chat.css\"") && page.contains("src=\"chat.js\""));
    let mut scripts = String::new();
    for (path, _) in PARTS.iter().filter(|(path, _)| path.ends_with(".js")) {
        let script = wire::get(gateway.address, path).await?.text();
        for part in script.split(" from \"./").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(PARTS.iter().any(|(path, _)| *path == format!("/{part}")), "{path} imports {part}");
        }
        scripts += &script;
    }
    assert!(!scripts.contains("innerHTML"), "answers are text, never markup");
    let asked: Vec<&str> = scripts.split("$(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(asked.contains(&"text") && asked.contains(&"model"));
    for id in asked {
        assert!(page.contains(&format!("id=\"{id}\"")), "the script asks for {id}");
    }
    Ok(())
}
