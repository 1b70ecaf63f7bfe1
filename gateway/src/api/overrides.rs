//! The `x-personaroute-*` request headers, with which a client controls one request.

use http::HeaderMap;

use super::Invalid;

/// The prefix of all PersonaRoute headers, which are never forwarded.
pub const PREFIX: &str = "x-personaroute-";

/// The parsed headers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// The user.
    pub user: Option<String>,
    /// Weight of effect against cost, 0 to 1.
    pub preference: Option<f32>,
    /// The task.
    pub task: Option<String>,
    /// The LLMs to choose from.
    pub candidates: Option<Vec<String>>,
    /// The conversation id; without it, the opening identifies the conversation.
    pub session: Option<String>,
    /// Whether to skip the router and use the fallback order.
    pub bypass: bool,
    /// Whether to return the explanation of the decision in a header.
    pub explain: bool,
}

impl Overrides {
    /// Reads the headers.
    pub fn read(headers: &HeaderMap) -> Result<Self, Invalid> {
        // Most requests have none of these headers, so one pass replaces seven lookups.
        if !headers.keys().any(|name| name.as_str().starts_with(PREFIX)) {
            return Ok(Self::default());
        }
        Ok(Self {
            user: text(headers, "x-personaroute-user")?.map(str::to_owned),
            preference: text(headers, "x-personaroute-preference")?.map(preference).transpose()?,
            task: text(headers, "x-personaroute-task")?.map(str::to_owned),
            candidates: text(headers, "x-personaroute-candidates")?.map(list),
            session: text(headers, "x-personaroute-session")?.map(str::to_owned),
            bypass: flag(headers, "x-personaroute-bypass")?,
            explain: flag(headers, "x-personaroute-explain")?,
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Invalid> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        Err(_) => Err(Invalid::new(name, "the header must be UTF-8")),
    }
}

fn preference(text: &str) -> Result<f32, Invalid> {
    match text.parse::<f32>() {
        Ok(preference) if (0.0..=1.0).contains(&preference) => Ok(preference),
        _ => Err(Invalid::new("x-personaroute-preference", "the preference must be a number from 0 to 1")),
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

fn flag(headers: &HeaderMap, name: &'static str) -> Result<bool, Invalid> {
    match text(headers, name)? {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(_) => Err(Invalid::new(name, "the header must be 0 or 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &str) -> Result<Overrides, Invalid> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        Overrides::read(&headers)
    }

    #[test]
    fn a_preference_outside_0_to_1_is_refused() {
        for value in ["1.1", "-0.1", "NaN", "much"] {
            assert_eq!(read("x-personaroute-preference", value).unwrap_err().param, "x-personaroute-preference");
        }
        assert_eq!(read("x-personaroute-preference", " 0.25 ").unwrap().preference, Some(0.25));
    }

    #[test]
    fn candidates_are_a_list() {
        let overrides = read("x-personaroute-candidates", "a, b,,c").unwrap();
        assert_eq!(overrides.candidates.unwrap(), ["a", "b", "c"]);
    }

    #[test]
    fn flags_are_0_or_1() {
        assert!(read("x-personaroute-explain", "1").unwrap().explain);
        assert!(!read("x-personaroute-bypass", "0").unwrap().bypass);
        assert!(read("x-personaroute-bypass", "GPT-4o").is_err());
    }
}
