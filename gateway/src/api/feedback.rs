//! `/v1/feedback`: what a user says about an answer.

mod object;

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use self::object::Object;
use super::Invalid;

/// Most characters of a name or a key.
const MAX_NAME: usize = 256;

/// Most LLMs among `shown`.
const MAX_SHOWN: usize = 64;

/// Most bytes of `text`: encoders read at most 256 words.
const MAX_TEXT: usize = 16 << 10;

/// How far `at` may lie in the future: clocks differ.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// The fields of a feedback.
const FIELDS: [&str; 16] = [
    "decision_id",
    "user",
    "llm",
    "text",
    "task",
    "rating",
    "thumbs",
    "best",
    "shown",
    "better",
    "worse",
    "effect",
    "cost",
    "idempotency_key",
    "at",
    "retry",
];

/// A feedback.
#[derive(Debug, Clone, PartialEq)]
pub struct Feedback {
    /// The answer it is about.
    pub about: About,
    /// What is said.
    pub said: Said,
    /// Makes a repetition of the same feedback count once.
    pub idempotency_key: Option<String>,
    /// When it was said, in milliseconds since 1970; none for now.
    pub at: Option<u64>,
    /// Whether the caller wants another LLM's answer.
    pub retry: bool,
}

/// The answer that a feedback is about.
#[derive(Debug, Clone, PartialEq)]
pub enum About {
    /// The answer to a decision of the gateway.
    Decision(String),
    /// An answer of which the gateway knows nothing.
    Answer {
        /// The user; none for the user of the key.
        user: Option<String>,
        /// The query.
        text: Option<String>,
        /// The task's name.
        task: Option<String>,
    },
}

/// What a user says. Without an LLM it is about the one that answered the decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// How good an answer is, from 0 to 1.
    Rating {
        /// The LLM.
        llm: Option<String>,
        /// The rating.
        rating: f32,
    },
    /// Whether an answer is good.
    Thumbs {
        /// The LLM.
        llm: Option<String>,
        /// Up or down.
        up: bool,
    },
    /// The best of the answers that were shown.
    Best {
        /// The LLM of the best answer.
        best: String,
        /// The LLMs of all answers that were shown.
        shown: Vec<String>,
    },
    /// The better one of two answers.
    Pair {
        /// The LLM of the better answer.
        better: String,
        /// The LLM of the other one.
        worse: String,
    },
    /// A measured outcome, both from 0 to 1.
    Outcome {
        /// The LLM.
        llm: Option<String>,
        /// How good the answer is.
        effect: f32,
        /// What it cost, relative to the dearest answer.
        cost: f32,
    },
}

/// The kinds of feedback, of which each counts once for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A rating.
    Rating,
    /// Thumbs.
    Thumbs,
    /// The best of several.
    Best,
    /// The better of two.
    Pair,
    /// A measured outcome.
    Outcome,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Rating, Self::Thumbs, Self::Best, Self::Pair, Self::Outcome];

    /// Returns the name in snake case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rating => "rating",
            Self::Thumbs => "thumbs",
            Self::Best => "best",
            Self::Pair => "pair",
            Self::Outcome => "outcome",
        }
    }
}

impl Said {
    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Rating { .. } => Kind::Rating,
            Self::Thumbs { .. } => Kind::Thumbs,
            Self::Best { .. } => Kind::Best,
            Self::Pair { .. } => Kind::Pair,
            Self::Outcome { .. } => Kind::Outcome,
        }
    }

    /// Returns the LLMs that it names, each with the name of its field.
    pub fn llms(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Rating { llm, .. } | Self::Thumbs { llm, .. } | Self::Outcome { llm, .. } => {
                llm.iter().map(|llm| ("llm", llm.as_str())).collect()
            }
            Self::Best { shown, .. } => shown.iter().map(|llm| ("shown", llm.as_str())).collect(),
            Self::Pair { better, worse } => vec![("better", better), ("worse", worse)],
        }
    }

    /// Returns the LLM that it praises or blames first.
    pub fn llm(&self) -> Option<&str> {
        match self {
            Self::Rating { llm, .. } | Self::Thumbs { llm, .. } | Self::Outcome { llm, .. } => llm.as_deref(),
            Self::Best { best: llm, .. } | Self::Pair { better: llm, .. } => Some(llm),
        }
    }

    /// Sets the LLM, unless it names one.
    #[must_use]
    pub fn about(mut self, answered: &str) -> Self {
        match &mut self {
            Self::Rating { llm, .. } | Self::Thumbs { llm, .. } | Self::Outcome { llm, .. } => {
                llm.get_or_insert_with(|| answered.to_owned());
            }
            Self::Best { .. } | Self::Pair { .. } => {}
        }
        self
    }

    /// Refuses values outside their range, as an imported one may have.
    ///
    /// # Errors
    ///
    /// Fails for the first one.
    pub fn check(&self) -> Result<(), Invalid> {
        match self {
            Self::Rating { rating, .. } => share("rating", *rating),
            Self::Outcome { effect, cost, .. } => share("effect", *effect).and_then(|()| share("cost", *cost)),
            Self::Best { best, shown } => check_shown(best, shown),
            Self::Pair { better, worse } if better == worse => {
                Err(Invalid::new("worse", "`worse` must name another LLM than `better`"))
            }
            Self::Pair { .. } | Self::Thumbs { .. } => Ok(()),
        }
    }
}

/// Parses a feedback that arrived at `now`.
///
/// # Errors
///
/// Fails for the first field that is missing, unknown or out of range.
pub fn read(text: &str, now: SystemTime) -> Result<Feedback, Invalid> {
    let object = Object::parse(text, &FIELDS)?;
    let said = said(&object)?;
    let about = about(&object, &said)?;
    let retry = object.boolean("retry")?.unwrap_or(false);
    if retry && !matches!((&said, &about), (Said::Thumbs { up: false, .. }, About::Decision(_))) {
        return Err(Invalid::new("retry", "`retry` needs a `decision_id` and `thumbs`: \"down\""));
    }
    let idempotency_key = object.string("idempotency_key", MAX_NAME)?;
    Ok(Feedback { about, said, idempotency_key, at: at(&object, now)?, retry })
}

fn about(object: &Object, said: &Said) -> Result<About, Invalid> {
    if let Some(id) = object.string("decision_id", MAX_NAME)? {
        if let Some(field) = ["user", "text", "task"].into_iter().find(|field| object.has(field)) {
            return Err(Invalid::new(field, format!("give `decision_id` or `{field}`, not both")));
        }
        return Ok(About::Decision(id));
    }
    let (text, task) = (object.string("text", MAX_TEXT)?, object.string("task", MAX_NAME)?);
    if text.is_none() && task.is_none() {
        let message = "`decision_id` is required, or `user` and `llm` with `text` or `task`";
        return Err(Invalid::new("decision_id", message));
    }
    if said.llm().is_none() {
        return Err(Invalid::new("llm", "`llm` is required without a `decision_id`: the LLM that answered"));
    }
    Ok(About::Answer { user: object.string("user", usize::MAX)?, text, task })
}

fn said(object: &Object) -> Result<Said, Invalid> {
    let llm = object.string("llm", MAX_NAME)?;
    let groups = [&["rating"][..], &["thumbs"], &["best", "shown"], &["better", "worse"], &["effect", "cost"]];
    let given: Vec<&[&'static str]> =
        groups.into_iter().filter(|group| group.iter().any(|field| object.has(field))).collect();
    let [group] = given.as_slice() else {
        let message =
            "give one of `rating`, `thumbs`, `best` with `shown`, `better` with `worse`, `effect` with `cost`";
        let field = given.get(1).and_then(|group| group.first()).copied().unwrap_or("rating");
        return Err(Invalid::new(field, message));
    };
    if let Some(missing) = group.iter().find(|field| !object.has(field)) {
        return Err(Invalid::new(*missing, format!("`{missing}` is required beside `{}`", beside(group, missing))));
    }
    let no_llm = |what: &'static str| match llm {
        Some(_) => Err(Invalid::new("llm", format!("`llm` cannot be given beside `{what}`, which names the LLMs"))),
        None => Ok(()),
    };
    let said = match group.first().copied().unwrap_or_default() {
        "rating" => Said::Rating { rating: object.share("rating")?, llm },
        "thumbs" => Said::Thumbs { up: thumbs(object)?, llm },
        "best" => {
            no_llm("best")?;
            Said::Best { best: object.required("best", MAX_NAME)?, shown: object.names("shown", MAX_NAME)? }
        }
        "better" => {
            no_llm("better")?;
            Said::Pair { better: object.required("better", MAX_NAME)?, worse: object.required("worse", MAX_NAME)? }
        }
        _ => Said::Outcome { effect: object.share("effect")?, cost: object.share("cost")?, llm },
    };
    said.check()?;
    Ok(said)
}

fn beside<'a>(group: &[&'a str], missing: &str) -> &'a str {
    group.iter().find(|field| **field != missing).copied().unwrap_or_default()
}

fn thumbs(object: &Object) -> Result<bool, Invalid> {
    match object.string("thumbs", MAX_NAME)?.as_deref() {
        Some("up") => Ok(true),
        Some("down") => Ok(false),
        _ => Err(Invalid::new("thumbs", "`thumbs` must be \"up\" or \"down\"")),
    }
}

fn check_shown(best: &str, shown: &[String]) -> Result<(), Invalid> {
    if !(2..=MAX_SHOWN).contains(&shown.len()) {
        return Err(Invalid::new("shown", format!("`shown` must list 2 to {MAX_SHOWN} LLMs")));
    }
    let is_twice = |(idx, llm): (usize, &String)| shown.iter().take(idx).any(|earlier| earlier == llm);
    if shown.iter().enumerate().any(is_twice) {
        return Err(Invalid::new("shown", "`shown` must list each LLM once"));
    }
    if !shown.iter().any(|llm| llm == best) {
        return Err(Invalid::new("best", "`best` must be one of `shown`"));
    }
    Ok(())
}

fn share(field: &'static str, value: f32) -> Result<(), Invalid> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(Invalid::new(field, format!("`{field}` must be a number from 0 to 1")))
    }
}

/// Reads `at`: seconds since 1970, or a timestamp as RFC 3339 writes it.
fn at(object: &Object, now: SystemTime) -> Result<Option<u64>, Invalid> {
    let Some(written) = object.time("at")? else { return Ok(None) };
    let latest = now + CLOCK_SKEW;
    let latest = latest.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_millis());
    if u128::from(written) > latest {
        return Err(Invalid::new("at", "`at` must not lie in the future"));
    }
    Ok(Some(written))
}

#[cfg(test)]
mod tests;
