//! The protocol's harder questions: users that training never saw, LLMs that it never saw.

use anyhow::Result;

use super::Lab;
use crate::data::simulate::{Feedback, held_out};
use crate::eval::held_out::{HeldOut, SUPPORTS, Support, USERS};
use crate::eval::metric::Metrics;
use crate::eval::net::Net;
use crate::eval::new_llm::{DRAWS, NewLlms, OBSERVED, Without};
use crate::eval::{Field, Router, measure};
use crate::model::Model;
use crate::report::Row;

impl Lab<'_> {
    /// Trains without a fifth of the users, then embeds them from their support; `model` knows everybody.
    pub(super) fn held_out(&self, field: &Field<'_>, model: &Model) -> Result<Vec<Row>> {
        let users = u32::try_from(field.seen.users.len()).unwrap_or(u32::MAX);
        let count = USERS.min(users as usize / 5);
        let held = HeldOut::new(field.seen, held_out(users, count));
        let trained = held.trained(model, &field.seen.users, field)?;
        let mut rows = vec![Row { name: "fully_trained".to_owned(), metrics: trained }];
        let inductive = self.fit(field, field.dataset, &held.rest)?;
        for feedback in [Feedback::Full, Feedback::Bandit] {
            for queries in SUPPORTS {
                let support = Support { seed: field.seed, queries, feedback };
                let metrics = held.measure(&inductive, field, support)?;
                rows.push(Row { name: format!("{}_{queries}", feedback.as_str()), metrics });
            }
        }
        Ok(rows)
    }

    /// Takes three LLMs away, then shows them on ever more queries; means over the draws.
    pub(super) fn new_llms(&self, field: &Field<'_>, model: &Model) -> Result<Vec<Row>> {
        let known = Net::declared(model, field.dataset, &field.seen.users, &field.split.test)?;
        let known = measure(field, &known)?.metrics;
        let mut columns: Vec<(String, Vec<Metrics>)> = vec![("always_known".to_owned(), vec![known])];
        for draw in 0..DRAWS {
            for (at, (name, metrics)) in (1..).zip(self.draw(field, draw)?) {
                match columns.get_mut(at) {
                    Some((_, column)) => column.push(metrics),
                    None => columns.push((name, vec![metrics])),
                }
            }
        }
        Ok(columns.into_iter().map(|(name, column)| Row { name, metrics: Metrics::mean(&column) }).collect())
    }

    fn draw(&self, field: &Field<'_>, draw: u64) -> Result<Vec<(String, Metrics)>> {
        let (dataset, users, test) = (field.dataset, &field.seen.users, &field.split.test);
        let mut found = Vec::new();
        for count in std::iter::once(0).chain(OBSERVED) {
            let new = NewLlms::new(dataset, &field.split.train, field.seed, draw, count);
            let model = self.fit(field, &new.dataset(dataset), &new.interactions(field.seen))?;
            let net = Net::declared(&model, dataset, users, test)?;
            if count == 0 {
                let without = Without { router: &net, new: &new };
                found.push((without.name().to_owned(), measure(field, &without)?.metrics));
            }
            found.push((format!("observed_{count}"), measure(field, &net)?.metrics));
        }
        Ok(found)
    }
}
