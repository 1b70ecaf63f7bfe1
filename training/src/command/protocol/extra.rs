//! The protocol's harder questions: users that training never saw, LLMs that it never saw.

use anyhow::Result;

use super::Lab;
use crate::data::simulate::{Feedback, held_out};
use crate::eval::held_out::{HeldOut, SUPPORTS, Support, USERS};
use crate::eval::metric::Metrics;
use crate::eval::model_router::ModelRouter;
use crate::eval::new_llm::{DRAWS, NewLlms, OBSERVED, Without};
use crate::eval::{Field, measure};
use crate::export::embedder::Embedder;
use crate::model::Router;
use crate::report::Row;
use crate::train::Trained;

impl Lab<'_> {
    /// Trains without a fifth of the users, then embeds them from their support, through the exported graph and ONNX
    /// Runtime; `model` knows everybody.
    pub(super) fn held_out(&self, field: &Field<'_>, model: &Trained) -> Result<Vec<Row>> {
        let users = u32::try_from(field.seen.users.len()).unwrap_or(u32::MAX);
        let count = USERS.min(users as usize / 5);
        let held = HeldOut::new(field.seen, held_out(users, count));
        let trained = held.trained(&**model, &field.seen.users, field)?;
        let mut rows = vec![Row { name: "fully_trained".to_owned(), metrics: trained }];
        let inductive = self.fit((field.split, field.seed), field.dataset, &held.rest)?.model;
        let mut embedder = Embedder::new(&inductive)?;
        for feedback in [Feedback::Full, Feedback::Bandit] {
            for queries in SUPPORTS {
                let support = Support { seed: field.seed, queries, feedback, noise: self.args.noise };
                let embeddings = embedder.embed(&held.rated(field, support))?;
                let metrics = held.measure(&*inductive, field, &embeddings)?;
                rows.push(Row { name: format!("{}_{queries}", feedback.as_str()), metrics });
            }
        }
        Ok(rows)
    }

    /// Takes three LLMs away and trains without them, then shows them on ever more queries: rows by draw.
    pub(super) fn new_llms(&self, field: &Field<'_>, model: &Trained) -> Result<Vec<Vec<Row>>> {
        let known = ModelRouter::declared(&**model, field.dataset, &field.seen.users, &field.split.test)?;
        let known = measure(field, &known)?.metrics;
        (0..DRAWS).map(|draw| self.draw(field, draw, known)).collect()
    }

    fn draw(&self, field: &Field<'_>, draw: u64, always: Metrics) -> Result<Vec<Row>> {
        let (dataset, users, test) = (field.dataset, &field.seen.users, &field.split.test);
        let new = NewLlms::new(dataset, &field.split.train, field.seed, draw);
        let trained = self.fit((field.split, field.seed), &new.known(dataset), &new.interactions(field.seen))?;
        let row = |name: &str, metrics: Metrics| Row { name: name.to_owned(), metrics };
        let mut rows = vec![row("always_known", always)];
        for count in OBSERVED {
            let whole = new.insert((&trained.model, trained.run.path()), dataset, field.seen, count)?;
            let net = ModelRouter::declared(&*whole, dataset, users, test)?;
            if rows.len() == 1 {
                let without = Without { router: &net, new: &new };
                rows.push(row(without.name(), measure(field, &without)?.metrics));
            }
            rows.push(row(&format!("observed_{count}"), measure(field, &net)?.metrics));
        }
        Ok(rows)
    }
}
