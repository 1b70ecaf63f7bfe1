//! The baselines of the evaluation protocol, each behind the same trait as trained models.
//!
//! Baselines named `told_…` know the true preference or tastes of each user, which a router in the R setting never does.

pub mod constant;
pub mod factor;
pub mod factor_cells;
pub mod linear;
pub mod mean;
pub mod mlp;
pub mod neighbour;
pub mod own;
pub mod random;
pub mod ridge;

use anyhow::Result;

use crate::data::world::{World, WorldKind};
use crate::eval::EvalSet;
use crate::model::Router;

/// Returns every baseline that the set allows, in the order of the table.
///
/// The user's own means per task only make sense where users have seen a part of the training queries (`sparse`).
pub fn all<'a>(set: &EvalSet<'a>, sparse: bool) -> Result<Vec<Box<dyn Router + 'a>>> {
    let mut routers: Vec<Box<dyn Router + 'a>> = vec![
        Box::new(random::Random::new(set)),
        Box::new(constant::Constant::cheapest(set)),
        Box::new(constant::Constant::best_overall(set)),
        Box::new(constant::BestPerUser::new(set)),
    ];
    match set.truth.world() {
        Some(world) if world.kind() == WorldKind::Line => routers.extend(told_preference(set, world)?),
        Some(world) => routers.extend(told_tastes(set, world)),
        None => {}
    }
    routers.push(Box::new(factor::Factors::new(set)));
    if let (Some(world), true) = (set.truth.world(), sparse) {
        for router in factor_cells::all(set, world.kind())? {
            routers.push(Box::new(router));
        }
    }
    if sparse {
        routers.push(Box::new(own::Own::new(set)));
    }
    Ok(routers)
}

/// Baselines that are told every user's preference, which is all there is to know in `line`.
fn told_preference<'a>(set: &EvalSet<'a>, world: &World) -> Result<Vec<Box<dyn Router + 'a>>> {
    let mut routers: Vec<Box<dyn Router + 'a>> = vec![Box::new(mean::task_means(set, world))];
    if set.dataset.query_embeddings.ncols() > 0 {
        routers.push(Box::new(ridge::ridge(set, world)));
        routers.push(Box::new(neighbour::neighbours(set, world)));
        routers.push(Box::new(mlp::network(set, world)?));
    }
    Ok(routers)
}

/// Baselines that are told more and more of the users of a world with tastes.
fn told_tastes<'a>(set: &EvalSet<'a>, world: &World) -> Vec<Box<dyn Router + 'a>> {
    let means = mean::task_means(set, world);
    let mut routers: Vec<Box<dyn Router + 'a>> =
        vec![Box::new(means.clone()), Box::new(means.clone().with_known("told_all_task_means", mean::Known::Tastes))];
    if world.kind() == WorldKind::Persona {
        routers.push(Box::new(means.with_known("told_all_and_habit", mean::Known::Habits)));
    }
    routers
}

#[cfg(test)]
mod tests;
