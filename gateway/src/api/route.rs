//! `/v1/route`: decisions without calls, for one request or a batch.

use serde::Deserialize;

use super::{Facts, Fields, Invalid, Wire};

/// The fields of a query in JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawQuery {
    model: Option<String>,
    user: Option<String>,
    text: Option<String>,
    query: Option<String>,
    messages: Option<Box<serde_json::value::RawValue>>,
    task: Option<String>,
    preference: Option<f32>,
    candidates: Option<Vec<String>>,
    prompt_tokens: Option<u32>,
}

/// A query for one decision.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteQuery {
    /// The virtual model; none selects the first one.
    pub model: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The declared task.
    pub task: Option<String>,
    /// Weight of effect against cost, 0 to 1.
    pub preference: Option<f32>,
    /// The LLMs to choose from.
    pub candidates: Option<Vec<String>>,
    /// The facts of the request.
    pub facts: Facts,
    /// The prompt tokens, if the client counted them.
    pub prompt_tokens: Option<u32>,
}

/// The body of a request.
#[derive(Debug)]
pub enum RouteBody {
    /// A single object.
    Single(Box<RouteQuery>),
    /// `{"requests": […]}` or a plain list. An invalid query does not invalidate the others.
    Batch(Vec<Result<RouteQuery, Invalid>>),
}

/// Parses a body; a batch contains at most `most` queries.
pub fn read(text: &str, most: usize) -> Result<RouteBody, Invalid> {
    let list = match Fields::parse(text) {
        Ok(fields) => match fields.find("requests") {
            Some(list) => list.get(),
            None => return query(text).map(|query| RouteBody::Single(Box::new(query))),
        },
        Err(_) => text,
    };
    let requests: Vec<&serde_json::value::RawValue> = serde_json::from_str(list)
        .map_err(|_| Invalid::new("requests", "the body must be a JSON object, or a list of them in `requests`"))?;
    if requests.len() > most {
        let message = format!("a batch holds at most {most} requests, found {}", requests.len());
        return Err(Invalid::new("requests", message));
    }
    Ok(RouteBody::Batch(requests.into_iter().map(|request| query(request.get())).collect()))
}

fn query(text: &str) -> Result<RouteQuery, Invalid> {
    let raw: RawQuery = serde_json::from_str(text).map_err(|error| Invalid::new("body", error.to_string()))?;
    let facts = match (raw.text.or(raw.query), &raw.messages) {
        (Some(text), None) => Facts { prompt_bytes: text.len(), text, ..Facts::default() },
        (None, Some(_)) => Facts::read(Wire::Chat, &Fields::parse(text).unwrap_or_default())?,
        (Some(_), Some(_)) => return Err(Invalid::new("text", "give `text` or `messages`, not both")),
        (None, None) => return Err(Invalid::new("text", "`text` or `messages` is required")),
    };
    if let Some(preference) = raw.preference
        && !(0.0..=1.0).contains(&preference)
    {
        return Err(Invalid::new("preference", "the preference must be from 0 to 1"));
    }
    Ok(RouteQuery {
        model: raw.model,
        user: raw.user,
        task: raw.task,
        preference: raw.preference,
        candidates: raw.candidates,
        prompt_tokens: raw.prompt_tokens,
        facts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> RouteQuery {
        match read(text, 10).unwrap() {
            RouteBody::Single(query) => *query,
            RouteBody::Batch(_) => panic!("a batch"),
        }
    }

    #[test]
    fn text_and_messages_mean_the_same_query() {
        assert_eq!(one(r#"{"text":"q","user":"ada"}"#).facts.text, "q");
        assert_eq!(one(r#"{"messages":[{"role":"user","content":"q"}]}"#).facts.text, "q");
    }

    #[test]
    fn an_invalid_query_does_not_invalidate_the_batch() {
        let RouteBody::Batch(queries) =
            read(r#"{"requests":[{"text":"a"},{"txt":"b"},{"text":"c","preference":2}]}"#, 10).unwrap()
        else {
            panic!("one query");
        };
        assert_eq!(queries.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn a_batch_over_the_limit_is_refused() {
        assert_eq!(read(r#"[{"text":"a"},{"text":"b"}]"#, 1).unwrap_err().param, "requests");
    }

    #[test]
    fn neither_text_nor_messages_is_refused() {
        assert_eq!(read(r#"{"user":"ada"}"#, 1).unwrap_err().param, "text");
        assert!(read("12", 1).is_err());
    }
}
