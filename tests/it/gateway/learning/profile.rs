//! What users say changes the next decision, survives a restart, and is gone once it is erased.

use std::fs;

use super::*;

const QUERY: &str = "What is 17 times 23?";

#[tokio::test]
async fn what_a_new_user_says_changes_the_next_decision() -> Result<()> {
    let gateway = Gateway::start(&configuration("learning: {signals_per_minute: 1000}"))?;
    let first = ask(&gateway, "newcomer", QUERY).await?;
    assert_eq!((first.header("x-personaroute-user-state"), first.header("x-personaroute-signals")), ("new", ""));
    for (user, liked) in [("frugal", &LLMS[..1]), ("lavish", &LLMS[2..])] {
        let liked: Vec<&str> = liked.iter().map(|(llm, ..)| *llm).collect();
        rate(&gateway, user, &liked, 8).await?;
        let next = ask(&gateway, user, QUERY).await?;
        let state = (next.header("x-personaroute-user-state"), next.header("x-personaroute-signals"));
        assert_eq!(state, ("adapted", "32"), "the next request of {user}");
    }
    let frugal = ask(&gateway, "frugal", QUERY).await?;
    let lavish = ask(&gateway, "lavish", QUERY).await?;
    assert_ne!(
        frugal.header("x-personaroute-model"),
        lavish.header("x-personaroute-model"),
        "two users who differ in nothing but what they have said"
    );
    assert_eq!(
        ask(&gateway, "stranger", QUERY).await?.header("x-personaroute-model"),
        first.header("x-personaroute-model"),
        "nobody else's profile has moved"
    );
    Ok(())
}

#[tokio::test]
async fn thumbs_for_a_decision_shape_the_profile_and_can_be_taken_back() -> Result<()> {
    let gateway = Gateway::start(&configuration(""))?;
    let answer = ask(&gateway, "ada", QUERY).await?;
    let decision = answer.header("x-personaroute-decision").to_owned();
    let body = json!({"decision_id": decision, "thumbs": "down", "retry": true});
    let told = tell(&gateway, &body).await?;
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    assert_eq!((&told["accepted"], &told["duplicate"], &told["signals"]), (&json!(true), &json!(false), &json!(1)));
    assert_eq!((&told["user_state"], &told["durable"]), (&json!("adapted"), &json!(false)));
    assert!(told["note"].as_str().is_some_and(|note| note.contains("in memory")), "{told}");
    let next = told["retry"]["model"].as_str().unwrap_or_default();
    assert!(LLMS.iter().any(|(llm, ..)| *llm == next) && next != answer.header("x-personaroute-model"), "{told}");
    let again = tell(&gateway, &body).await?.json();
    assert_eq!((&again["accepted"], &again["duplicate"], &again["signals"]), (&json!(false), &json!(true), &json!(1)));
    let seen = show(&gateway, "ada").await?;
    assert_eq!((&seen["state"], &seen["signals"]), (&json!("adapted"), &json!(1)));
    assert_eq!(seen["decisions"][0]["id"], json!(decision));
    assert_eq!(seen["decisions"][0]["signals"][0]["kind"], "thumbs");
    assert!(!seen.to_string().contains("17 times"), "no text of a prompt is kept: {seen}");
    let path = format!("/v1/feedback/{decision}");
    let taken = send(&gateway, Method::DELETE, &path, &Value::Null).await?;
    assert_eq!((taken.status, &taken.json()["removed"]), (200, &json!(1)));
    let next = ask(&gateway, "ada", QUERY).await?;
    assert_eq!(next.header("x-personaroute-user-state"), "new", "as before");
    Ok(())
}

/// Returns by how much the utility of the dearest LLM is above that of the cheapest one for `user`.
async fn premium_over_cheap(gateway: &Gateway, user: &str) -> Result<f64> {
    let query = json!({"user": user, "text": QUERY});
    let decided = wire::post(gateway.address(), "/v1/route", &[], &query).await?.json();
    let utility = |llm: &str| {
        let ranking = decided["ranking"].as_array().into_iter().flatten();
        ranking.filter(|entry| entry["llm"] == llm).find_map(|entry| entry["utility"].as_f64()).unwrap_or(f64::NAN)
    };
    Ok(utility("Claude-3-Opus") - utility("GPT-4o-mini"))
}

#[tokio::test]
async fn a_known_user_moves_from_the_trained_profile() -> Result<()> {
    let gateway = Gateway::start(&configuration("learning: {signals_per_minute: 1000}"))?;
    let before = ask(&gateway, "cost-first", QUERY).await?;
    assert_eq!(before.header("x-personaroute-user-state"), "known");
    let trained = premium_over_cheap(&gateway, "cost-first").await?;
    rate(&gateway, "cost-first", &["Claude-3-Opus", "GPT-4o"], 8).await?;
    let after = ask(&gateway, "cost-first", QUERY).await?;
    assert_eq!(after.header("x-personaroute-user-state"), "adapted");
    let learned = premium_over_cheap(&gateway, "cost-first").await?;
    assert!(learned > trained, "a user who likes the premium ones: {trained} and then {learned}");
    let seen = show(&gateway, "cost-first").await?;
    assert!(seen["moved"].as_f64().is_some_and(|moved| moved > 0.0), "{}", seen["moved"]);
    Ok(())
}

#[tokio::test]
async fn a_declared_preference_decides_until_signals_move_it() -> Result<()> {
    let gateway = Gateway::start(&configuration(""))?;
    let mut models = Vec::new();
    for preference in [0.0, 1.0] {
        let body = json!({"preference": preference});
        let declared = send(&gateway, Method::PUT, "/v1/users/eve/preference", &body).await?;
        assert_eq!(declared.status, 200, "{}", declared.text());
        models.push(ask(&gateway, "eve", QUERY).await?.header("x-personaroute-model").to_owned());
    }
    assert_ne!(models[0], models[1]);
    assert_eq!(show(&gateway, "eve").await?["preference"]["declared"], json!(1.0));
    let refused = send(&gateway, Method::PUT, "/v1/users/eve/preference", &json!({"preference": 1.5})).await?;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("preference")));
    Ok(())
}

#[tokio::test]
async fn signals_survive_a_restart_and_an_erased_user_does_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let gateway = Gateway::start(&kept_in(folder.path()))?;
    let user = "ada-lovelace-1815";
    let answer = ask(&gateway, user, QUERY).await?;
    let decision = answer.header("x-personaroute-decision").to_owned();
    let told = tell(&gateway, &json!({"decision_id": decision, "rating": 0.9})).await?.json();
    assert_eq!(told["durable"], json!(true), "{told}");
    gateway.stop()?;
    let gateway = Gateway::start(&kept_in(folder.path()))?;
    let next = ask(&gateway, user, QUERY).await?;
    assert_eq!(next.header("x-personaroute-user-state"), "adapted");
    let export = wire::get(gateway.address(), &format!("/v1/users/{user}/export")).await?.json();
    let erased = send(&gateway, Method::DELETE, &format!("/v1/users/{user}"), &Value::Null).await?;
    assert_eq!((erased.status, &erased.json()["erased"]["signals"]), (200, &json!(1)), "{}", erased.text());
    let holds = |text: &str| {
        let files = fs::read_dir(folder.path()).into_iter().flatten().flatten();
        let learned = files.filter(|file| file.file_name().to_string_lossy().contains("learning"));
        let mut contents = learned.filter_map(|file| fs::read(file.path()).ok());
        contents.any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    assert!(!holds(user) && !holds(&decision), "not a byte is left");
    gateway.stop()?;
    let gateway = Gateway::start(&kept_in(folder.path()))?;
    assert_eq!(show(&gateway, user).await?["signals"], json!(0));
    let unknown = tell(&gateway, &json!({"decision_id": decision, "rating": 0.9})).await?;
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!("decision_not_found")));
    let path = format!("/v1/users/{user}/import");
    let imported = send(&gateway, Method::POST, &path, &export).await?;
    assert_eq!((imported.status, &imported.json()["imported"]), (200, &json!(1)), "{}", imported.text());
    assert_eq!(show(&gateway, user).await?["state"], "adapted");
    Ok(())
}

#[tokio::test]
async fn a_decision_alone_can_be_given_feedback() -> Result<()> {
    let gateway = Gateway::start(&configuration(""))?;
    let query = json!({"user": "ada", "text": QUERY});
    let one = wire::post(gateway.address(), "/v1/route", &[], &query).await?.json();
    let many = json!({"requests": [query, query]});
    let many = wire::post(gateway.address(), "/v1/route", &[], &many).await?.json();
    let ids = [&one["id"], &many["decisions"][0]["id"], &many["decisions"][1]["id"]];
    for (idx, id) in ids.into_iter().enumerate() {
        let shown: Vec<&str> = LLMS[..3].iter().map(|(llm, ..)| *llm).collect();
        let told = tell(&gateway, &json!({"decision_id": id, "best": shown[2], "shown": shown})).await?;
        assert_eq!((told.status, &told.json()["signals"]), (200, &json!(idx + 1)), "{}", told.text());
    }
    let explained = wire::post(gateway.address(), "/v1/route", &[], &query).await?.json();
    assert_eq!((&explained["user_state"], &explained["learned"]["signals"]), (&json!("adapted"), &json!(3)));
    Ok(())
}
