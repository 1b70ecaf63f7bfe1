//! Who may say what about whom, and how much.

use sha2::{Digest as _, Sha256};

use super::*;

fn keys() -> String {
    let key = |name: &str, more: &str| {
        let digest: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("    - {{name: {name}, sha256: {digest}, {more}}}\n")
    };
    format!(
        "auth:\n  mode: keys\n  keys:\n{}{}{}",
        key("ada-key", "user: ada"),
        key("bob-key", "user: bob"),
        key("team-key", "can_impersonate: true")
    )
}

async fn with_key(gateway: &Gateway, key: &str, method: Method, path: &str, body: &Value) -> Result<Answer> {
    let authorization = format!("Bearer {key}");
    wire::send(gateway.address(), method, path, &[("authorization", &authorization)], body).await
}

#[tokio::test]
async fn a_key_reaches_its_own_user_only_unless_it_can_impersonate() -> Result<()> {
    let gateway = Gateway::start(&configuration(&keys()))?;
    let query = json!({"text": "hi"});
    let decided = with_key(&gateway, "ada-key", Method::POST, "/v1/route", &query).await?.json();
    let feedback = json!({"decision_id": decided["id"], "thumbs": "up"});
    let foreign = with_key(&gateway, "bob-key", Method::POST, "/v1/feedback", &feedback).await?;
    assert_eq!(foreign.status, 404, "a decision of somebody else is as one that never was: {}", foreign.text());
    let own = with_key(&gateway, "ada-key", Method::POST, "/v1/feedback", &feedback).await?;
    assert_eq!(own.status, 200, "{}", own.text());
    let about_ada = json!({"user": "ada", "llm": "GPT-4o", "task": "math", "rating": 1});
    let spoofed = with_key(&gateway, "bob-key", Method::POST, "/v1/feedback", &about_ada).await?;
    assert_eq!(spoofed.status, 403, "{}", spoofed.text());
    let speaking = with_key(&gateway, "team-key", Method::POST, "/v1/feedback", &about_ada).await?;
    assert_eq!((speaking.status, &speaking.json()["signals"]), (200, &json!(2)));
    for (key, path, status) in [
        ("ada-key", "/v1/users/ada", 200),
        ("bob-key", "/v1/users/ada", 403),
        ("bob-key", "/v1/users/ada/export", 403),
        ("bob-key", "/v1/users", 403),
        ("team-key", "/v1/users/ada", 200),
        ("team-key", "/v1/users", 200),
        ("no-key", "/v1/users/ada", 401),
    ] {
        let answer = with_key(&gateway, key, Method::GET, path, &Value::Null).await?;
        assert_eq!(answer.status, status, "{key} {path}: {}", answer.text());
    }
    let erased = with_key(&gateway, "bob-key", Method::DELETE, "/v1/users/ada", &Value::Null).await?;
    assert_eq!(erased.status, 403);
    let own_id = speaking.json()["decision_id"].as_str().unwrap_or_default().to_owned();
    let path = format!("/v1/feedback/{own_id}?user=ada");
    assert_eq!(with_key(&gateway, "bob-key", Method::DELETE, &path, &Value::Null).await?.status, 403);
    let taken = with_key(&gateway, "team-key", Method::DELETE, &path, &Value::Null).await?;
    assert_eq!((taken.status, &taken.json()["removed"]), (200, &json!(1)));
    Ok(())
}

#[tokio::test]
async fn a_refused_feedback_names_its_field() -> Result<()> {
    let gateway = Gateway::start(&configuration(""))?;
    let id = wire::post(gateway.address(), "/v1/route", &[], &json!({"user": "a", "text": "hi"})).await?.json();
    let id = &id["id"];
    for (body, status, param) in [
        (json!({"decision_id": id, "rating": 2}), 400, "rating"),
        (json!({"decision_id": id, "rating": 1, "llm": "Qwen2-72B-Instruct"}), 400, "llm"),
        (json!({"decision_id": "dec_none", "rating": 1}), 404, "decision_id"),
        (json!({"user": "a", "llm": "nonsense", "text": "hi", "rating": 1}), 400, "llm"),
        (json!({"llm": "GPT-4o", "text": "hi", "rating": 1}), 400, "user"),
        (json!({"user": "a", "llm": "GPT-4o", "text": "hi", "rating": 1, "at": 1000}), 400, "at"),
    ] {
        let answer = tell(&gateway, &body).await?;
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (status, &json!(param)), "{body}");
    }
    let large = json!({"decision_id": id, "rating": 1, "idempotency_key": "x".repeat(70_000)});
    assert_eq!(tell(&gateway, &large).await?.status, 413);
    assert_eq!(send(&gateway, Method::PUT, "/v1/feedback", &Value::Null).await?.status, 405);
    Ok(())
}

#[tokio::test]
async fn a_user_gives_so_many_signals_a_minute_and_each_key_counts_once() -> Result<()> {
    let gateway = Gateway::start(&configuration("learning: {signals_per_minute: 3}"))?;
    let body = json!({"user": "a", "llm": "GPT-4o", "task": "math", "rating": 1, "idempotency_key": "k"});
    let counted: Vec<Value> = [tell(&gateway, &body).await?, tell(&gateway, &body).await?]
        .iter()
        .map(|answer| json!([answer.json()["duplicate"], answer.json()["signals"]]))
        .collect();
    assert_eq!(counted, [json!([false, 1]), json!([true, 1])]);
    let mut other = body.clone();
    other["idempotency_key"] = json!("l");
    assert_eq!(tell(&gateway, &other).await?.json()["signals"], json!(2));
    let limited = tell(&gateway, &body).await?;
    assert_eq!((limited.status, &limited.json()["error"]["param"]), (429, &json!("signals_per_minute")));
    assert!(!limited.header("retry-after").is_empty());
    other["user"] = json!("b");
    assert_eq!(tell(&gateway, &other).await?.status, 200, "others are not affected");
    Ok(())
}

#[tokio::test]
async fn learning_can_be_switched_off() -> Result<()> {
    let gateway = Gateway::start(&configuration("learning: {enabled: false}"))?;
    let answer = ask(&gateway, "ada", "hi").await?;
    let told = tell(&gateway, &json!({"decision_id": answer.header("x-personaroute-decision"), "rating": 1})).await?;
    assert_eq!((told.status, &told.json()["error"]["code"]), (404, &json!("learning_off")));
    assert_eq!(wire::get(gateway.address(), "/v1/users/ada").await?.status, 404);
    Ok(())
}
