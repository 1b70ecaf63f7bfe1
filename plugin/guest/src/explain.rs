//! Explains a ranking in one English sentence.

use std::fmt::Write;

use crate::features::User;
use crate::model::{Candidates, Ranking, TaskGuess, UserState};

/// Returns a sentence that explains the first choice, with the scores of the first two candidates.
pub fn explain(candidates: &Candidates, ranking: &Ranking, user: &User, task: Option<&TaskGuess>) -> String {
    // Excluded candidates come last.
    let excluded = ranking.excluded.len();
    let usable = ranking.order.len().saturating_sub(excluded);
    let mut choices = ranking.order.iter().take(usable).map(|position| *position as usize);
    let mut text = String::with_capacity(256);
    let Some(best) = choices.next() else {
        return "the prompt fits no candidate's context window".into();
    };
    push_choice(&mut text, candidates, ranking, best);
    if let Some(next) = choices.next() {
        push_next(&mut text, candidates, ranking, next);
    }
    push_user(&mut text, user);
    if let Some(guess) = task {
        push_task(&mut text, guess);
    }
    if excluded > 0 {
        let s = if excluded == 1 { "" } else { "s" };
        push(&mut text, format_args!("; {excluded} candidate{s} left out, as the prompt does not fit"));
    }
    text
}

fn push_choice(text: &mut String, candidates: &Candidates, ranking: &Ranking, best: usize) {
    text.push_str(candidates.id(best));
    text.push_str(" has the best expected reward, ");
    push_hundredths(text, value(&ranking.utilities, best));
    text.push_str(" (quality ");
    push_hundredths(text, value(&ranking.effects, best));
    text.push_str(", cost ");
    push_hundredths(text, value(&ranking.costs, best));
    text.push(')');
}

fn push_next(text: &mut String, candidates: &Candidates, ranking: &Ranking, next: usize) {
    text.push_str(", before ");
    text.push_str(candidates.id(next));
    text.push_str(" with ");
    push_hundredths(text, value(&ranking.utilities, next));
}

fn value(values: &[f32], position: usize) -> f32 {
    values.get(position).copied().unwrap_or_default()
}

fn push_user(text: &mut String, user: &User) {
    let interactions = user.interactions;
    match user.state {
        UserState::Known => push(text, format_args!(", for a known user ({interactions} interactions)")),
        UserState::Adapted => push(text, format_args!(", for a user learnt from {interactions} interactions")),
        UserState::New => text.push_str(", for a user not seen before"),
        UserState::Anonymous => text.push_str(", for an unnamed user"),
    }
    if let Some(preference) = user.declared {
        text.push_str(" who gives quality a weight of ");
        push_hundredths(text, preference);
    }
}

fn push_task(text: &mut String, guess: &TaskGuess) {
    let task = &guess.task;
    if guess.probability >= 1.0 {
        push(text, format_args!(", task {task}"));
    } else {
        // When no task reaches one half, the text most likely belongs to none of them.
        text.push_str(if guess.probability >= 0.5 { ", task probably " } else { ", most like task " });
        text.push_str(task);
        text.push_str(" (");
        push_hundredths(text, guess.probability);
        text.push(')');
    }
}

/// Writes a number with two decimals. The standard library's float formatting would make the plugin a quarter larger.
fn push_hundredths(text: &mut String, value: f32) {
    // Larger values would saturate the conversion to i64.
    let value = f64::from(value).clamp(-1e12, 1e12);
    #[expect(clippy::cast_possible_truncation, reason = "clamped far inside the range of i64")]
    let hundredths = (value * 100.0).round() as i64;
    let sign = if hundredths < 0 { "-" } else { "" };
    let (whole, rest) = (hundredths.unsigned_abs() / 100, hundredths.unsigned_abs() % 100);
    push(text, format_args!("{sign}{whole}.{rest:02}"));
}

fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(part);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::request;
    use crate::model::Exclusion;

    /// A ranking in the order of the candidates, with these utilities.
    fn ranking(utilities: &[f32], excluded: &[u32]) -> Ranking {
        let n = utilities.len();
        Ranking {
            order: (0..).take(n).collect(),
            utilities: utilities.into(),
            effects: vec![0.756; n],
            costs: vec![0.1; n],
            uncertainties: vec![0.2; n],
            excluded: excluded.iter().map(|candidate| (*candidate, Exclusion::ContextWindow)).collect(),
        }
    }

    fn hundredths(value: f32) -> String {
        let mut text = String::new();
        push_hundredths(&mut text, value);
        text
    }

    #[test]
    fn known_user_with_a_guessed_task() {
        let candidates = request(&["a", "b", "c"]).candidates;
        let user = User { state: UserState::Known, interactions: 40, declared: Some(0.9) };
        let guess = TaskGuess { task: "math".into(), probability: 0.925 };
        assert_eq!(
            explain(&candidates, &ranking(&[0.6, -0.004, 9.0], &[2]), &user, Some(&guess)),
            "a has the best expected reward, 0.60 (quality 0.76, cost 0.10), before b with 0.00, for a known user \
             (40 interactions) who gives quality a weight of 0.90, task probably math (0.93); 1 candidate left out, as \
             the prompt does not fit"
        );
    }

    #[test]
    fn a_task_that_is_unlikely_is_not_called_probable() {
        let user = User { state: UserState::Anonymous, interactions: 0, declared: None };
        let guess = TaskGuess { task: "math".into(), probability: 0.06 };
        let sentence = explain(&request(&["a"]).candidates, &ranking(&[0.6], &[]), &user, Some(&guess));
        assert!(sentence.ends_with(", for an unnamed user, most like task math (0.06)"), "{sentence}");
    }

    #[test]
    fn only_candidate_of_an_unnamed_user() {
        let user = User { state: UserState::Anonymous, interactions: 0, declared: None };
        let sentence = explain(&request(&["a"]).candidates, &ranking(&[0.6], &[]), &user, None);
        assert_eq!(sentence, "a has the best expected reward, 0.60 (quality 0.76, cost 0.10), for an unnamed user");
    }

    #[test]
    fn nothing_fits() {
        let user = User { state: UserState::New, interactions: 0, declared: None };
        let sentence = explain(&request(&["a"]).candidates, &ranking(&[0.6], &[0]), &user, None);
        assert_eq!(sentence, "the prompt fits no candidate's context window");
    }

    #[test]
    fn numbers_have_two_decimals() {
        assert_eq!([0.0, 1.0, -0.25, 12.345, -3.999].map(hundredths), ["0.00", "1.00", "-0.25", "12.35", "-4.00"]);
        assert_eq!(hundredths(f32::MAX), "1000000000000.00");
    }
}
