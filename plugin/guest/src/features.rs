//! Builds the scorer's inputs: one row per request.

use crate::host::{Elements, Host, Tensor};
use crate::model::{Model, Profile, Request, RoutingError, TextEncoder, UserState};
use crate::validate::Validated;

/// The scorer input `preference` of a request that declares none.
const NO_PREFERENCE: f32 = -1.0;

/// A user as the scorer sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    pub state: UserState,
    pub interactions: u32,
    /// The declared weight of effect that replaces the user's own.
    pub declared: Option<f32>,
}

/// The scorer's inputs, row-major.
#[derive(Debug, Default)]
pub struct Features {
    rows: u32,
    user: Vec<f32>,
    preference: Vec<f32>,
    task: Vec<f32>,
    /// Ids of each row before padding; empty under the other encoder.
    ngrams: Vec<Vec<i64>>,
    /// Embeddings; empty under the other encoder.
    query: Vec<f32>,
}

impl Features {
    /// Adds the row of a validated request.
    ///
    /// # Errors
    ///
    /// Fails when the encoder fails; then no row is added.
    pub fn push(
        &mut self,
        host: &impl Host,
        model: &Model,
        request: &Request,
        validated: Validated,
    ) -> Result<User, RoutingError> {
        self.push_text(host, model, &request.text)?;
        let user = self.push_user(host, model, request);
        self.preference.push(user.declared.unwrap_or(NO_PREFERENCE));
        let one_hot = (0..model.tasks.len()).map(|column| if validated.task == Some(column) { 1.0 } else { 0.0 });
        self.task.extend(one_hot);
        self.rows += 1;
        Ok(user)
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.rows as usize
    }

    /// Returns the inputs; `ngrams` is the buffer of the padded ids.
    pub fn tensors<'data>(&'data self, ngrams: &'data mut Vec<i64>) -> Vec<Tensor<'data>> {
        let float = |name, data: &'data [f32]| self.tensor(name, data.len(), Elements::Float32(data));
        let text = if self.ngrams.is_empty() {
            float("query", &self.query)
        } else {
            pad(&self.ngrams, ngrams);
            self.tensor("ngrams", ngrams.len(), Elements::Int64(ngrams))
        };
        vec![float("user", &self.user), float("preference", &self.preference), float("task", &self.task), text]
    }

    fn tensor<'data>(&self, name: &'static str, n_elements: usize, elements: Elements<'data>) -> Tensor<'data> {
        // All rows have the same length, and a row of 2^32 elements would not fit into the plugin's memory.
        let per_row = n_elements.checked_div(self.rows()).and_then(|extent| u32::try_from(extent).ok());
        Tensor { name, dims: vec![self.rows, per_row.unwrap_or(0)], elements }
    }

    fn push_text(&mut self, host: &impl Host, model: &Model, text: &str) -> Result<(), RoutingError> {
        match &model.text_encoder {
            TextEncoder::Lexical(_, lexical) => self.ngrams.push(lexical.ids(text)),
            TextEncoder::Embedding(dim) => {
                let embedding = host.embed(text)?;
                if embedding.len() != *dim as usize {
                    let found = embedding.len();
                    return Err(RoutingError::Inference(format!("encoder: expected {dim} values, found {found}")));
                }
                self.query.extend(embedding);
            }
        }
        Ok(())
    }

    fn push_user(&mut self, host: &impl Host, model: &Model, request: &Request) -> User {
        let profile = request.user.as_deref().and_then(|user| host.profile(user));
        if let Some(profile) = profile.filter(|profile| fits(host, model, profile)) {
            self.user.extend(&profile.embedding);
            // Without interactions no preference was estimated, so the user has declared this one.
            let stored =
                profile.preference.filter(|preference| profile.interactions == 0 && (0.0..=1.0).contains(preference));
            let declared = request.preference.or(stored);
            return User { state: profile.state, interactions: profile.interactions, declared };
        }
        self.user.extend(&model.prior);
        let state = if request.user.is_some() { UserState::New } else { UserState::Anonymous };
        User { state, interactions: 0, declared: request.preference }
    }
}

/// Returns whether the scorer can take this profile. A profile of another bundle does not fail the request.
fn fits(host: &impl Host, model: &Model, profile: &Profile) -> bool {
    let fits = profile.embedding.len() == model.prior.len() && profile.embedding.iter().all(|value| value.is_finite());
    if !fits {
        host.warn("a user profile does not match the model, so the prior is used");
    }
    fits
}

/// Writes all rows, each padded with 0 to the length of the longest.
fn pad(rows: &[Vec<i64>], padded: &mut Vec<i64>) {
    let width = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
    padded.reserve_exact(width * rows.len());
    for (row, ids) in rows.iter().enumerate() {
        padded.extend(ids);
        padded.resize((row + 1) * width, 0);
    }
}

#[cfg(test)]
mod tests;
