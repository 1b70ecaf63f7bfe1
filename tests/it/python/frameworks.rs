//! LangChain's agents and LlamaIndex's router engines, as their packages are: each user gets its own LLM.

use serde_json::json;

use super::seen;

#[test]
fn a_langchain_agent_calls_the_users_model() {
    let seen = seen(include_str!("langchain.py"), &[]);
    assert_eq!(seen["sync"], json!({ "cost-first": "small", "quality-first": "large" }));
    assert_eq!(seen["async"], seen["sync"]);
    assert!(seen["unknown"].as_str().unwrap().contains("is an LLM of the bundle"), "{seen}");
}

#[test]
fn a_llama_index_selector_selects_the_users_engine() {
    let seen = seen(include_str!("llama_index.py"), &[]);
    assert_eq!(seen["selected"], json!({ "cost-first": [1], "quality-first": [0] }));
    assert!(seen["reason"].as_str().unwrap().contains("GPT-4o"), "{seen}");
}
