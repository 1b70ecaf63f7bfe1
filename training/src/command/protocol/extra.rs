//! The protocol's harder questions: users that training never saw, LLMs that it never saw.

use anyhow::Result;

use super::ProtocolRun;
use crate::baseline::factor_cells::{Cells, Factors, ridge};
use crate::data::simulate::{Draw, held_out, population};
use crate::data::world::{Feedback, World, WorldKind};
use crate::eval::coverage::{self, Coverage};
use crate::eval::held_out::{HeldOut, OWN_SUPPORTS, SUPPORTS, Source, Support, USERS};
use crate::eval::metric::Metrics;
use crate::eval::model_router::ModelRouter;
use crate::eval::new_llm::{DRAWS, NewLlms, OBSERVED, Without};
use crate::eval::{EvalSet, measure};
use crate::export::embedder::Embedder;
use crate::model::Router;
use crate::report::Row;
use crate::train::Trained;

/// Ranks of the factor models that held-out users are folded into.
const FOLDED_RANKS: [i64; 3] = [4, 6, 8];

impl ProtocolRun<'_> {
    /// Trains without a fifth of the users, then embeds them from what they say of a few queries, through the exported
    /// graph and ONNX Runtime; `model` knows everybody. In worlds with tastes, factor models are folded in beside it.
    ///
    /// Where ratings are hidden utilities, it is also measured how often the intervals around them hold.
    pub(super) fn held_out(
        &self,
        set: &EvalSet<'_>,
        world: &World,
        model: Option<&Trained>,
    ) -> Result<(Vec<Row>, Vec<Coverage>)> {
        let users = u32::try_from(world.len()).unwrap_or(u32::MAX);
        let count = USERS.min(users as usize / 5);
        let held = HeldOut::new(set.seen, world, held_out(users, count));
        let (mut rows, coverage) = match model {
            Some(model) => self.embedded(set, &held, model)?,
            None => (Vec::new(), Vec::new()),
        };
        if world.kind() != WorldKind::Line {
            rows.extend(folded_in(set, &held, self.draw(set.seed))?);
        }
        Ok((rows, coverage))
    }

    fn embedded(&self, set: &EvalSet<'_>, held: &HeldOut, model: &Trained) -> Result<(Vec<Row>, Vec<Coverage>)> {
        let told = matches!(held.world().kind(), WorldKind::Line | WorldKind::Taste);
        let mut coverage = Vec::new();
        let trained = held.trained(&**model, &set.seen.users, set)?;
        let mut rows = vec![Row { name: "fully_trained".to_owned(), metrics: trained }];
        let inductive = self.fit((set.split, set.seed), set.dataset, &held.rest)?.model;
        let mut embedder = Embedder::new(&inductive)?;
        for support in self.supports(set.seed) {
            let embeddings = embedder.embed(&held.said(set, &inductive.facts().hparams.text, support))?;
            let metrics = held.measure(&*inductive, set, &embeddings)?;
            let name = format!("{}_{}", support.feedback.as_str(), support.queries);
            if told {
                coverage.push(coverage::measure(&*inductive, set, (held.world(), &embeddings), name.clone())?);
            }
            rows.push(Row { name, metrics });
        }
        Ok((rows, coverage))
    }

    /// In `line`, held-out users rate validation queries in both forms; elsewhere they say something of the first of their
    /// own queries, in the form of everybody else.
    fn supports(&self, seed: u64) -> Vec<Support> {
        let noise = self.args.noise;
        if self.args.world() != WorldKind::Line {
            let feedback = self.args.feedback();
            return OWN_SUPPORTS
                .map(|queries| Support { seed, queries, source: Source::Own, feedback, noise })
                .to_vec();
        }
        let of =
            |feedback| SUPPORTS.map(|queries| Support { seed, queries, source: Source::Validation, feedback, noise });
        [Feedback::Full, Feedback::Bandit].into_iter().flat_map(of).collect()
    }

    /// Takes three LLMs away and trains without them, then shows them on ever more queries: rows by draw.
    pub(super) fn new_llms(&self, set: &EvalSet<'_>, model: &Trained) -> Result<Vec<Vec<Row>>> {
        let known = ModelRouter::declared(&**model, set.dataset, &set.seen.users, &set.split.test)?;
        let known = measure(set, &known)?.metrics;
        (0..DRAWS).map(|draw| self.new_llm(set, draw, known)).collect()
    }

    fn new_llm(&self, set: &EvalSet<'_>, draw: u64, always: Metrics) -> Result<Vec<Row>> {
        let (dataset, users, test) = (set.dataset, &set.seen.users, &set.split.test);
        let new = NewLlms::new(dataset, &set.split.train, set.seed, draw);
        let trained = self.fit((set.split, set.seed), &new.known(dataset), &new.interactions(set.seen))?;
        let row = |name: &str, metrics: Metrics| Row { name: name.to_owned(), metrics };
        let mut rows = vec![row("always_known", always)];
        for count in OBSERVED {
            let whole = new.insert((&trained.model, trained.run.path()), dataset, set.seen, count)?;
            let router = ModelRouter::declared(&*whole, dataset, users, test)?;
            if rows.len() == 1 {
                let without = Without { router: &router, new: &new };
                rows.push(row(without.name(), measure(set, &without)?.metrics));
            }
            rows.push(row(&format!("observed_{count}"), measure(set, &router)?.metrics));
        }
        Ok(rows)
    }
}

/// Factor models of the other users, with the held-out users folded in from the first of their own queries.
fn folded_in(set: &EvalSet<'_>, held: &HeldOut, draw: Draw) -> Result<Vec<Row>> {
    let kind = held.world().kind();
    let others = Cells::new(set.dataset, &held.rest)?;
    let mut rows = Vec::new();
    for rank in FOLDED_RANKS {
        let factors = Factors::fit(&others, rank, ridge(kind, rank));
        for queries in OWN_SUPPORTS.into_iter().filter(|&queries| queries > 0) {
            let draw = Draw { seen: Some(queries), ..draw };
            let own = population(set.dataset, set.split, held.world(), draw);
            let name = format!("factors_{rank}_n{queries}");
            let router = factors.folded_in(&Cells::new(set.dataset, &own)?).router(name.clone(), set.dataset)?;
            rows.push(Row { name, metrics: held.on(set, &router)? });
        }
    }
    Ok(rows)
}
