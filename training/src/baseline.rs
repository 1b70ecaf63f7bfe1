//! The yardsticks of the evaluation protocol, each behind the same trait as the net.
//!
//! "Told" baselines know what users are like, which a router in the R setting never does: they are yardsticks only.

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
use crate::eval::Field;
use crate::model::Router;

/// Returns every baseline that the field allows, in the order of the table.
///
/// The user's own means per task only make sense where users have seen a part of the training queries (`sparse`).
pub fn all<'a>(field: &Field<'a>, sparse: bool) -> Result<Vec<Box<dyn Router + 'a>>> {
    let mut routers: Vec<Box<dyn Router + 'a>> = vec![
        Box::new(random::Random::new(field)),
        Box::new(constant::Constant::cheapest(field)),
        Box::new(constant::Constant::best_overall(field)),
        Box::new(constant::BestPerUser::new(field)),
    ];
    match field.truth.world() {
        Some(world) if world.kind() == WorldKind::Line => routers.extend(told_preference(field, world)?),
        Some(world) => routers.extend(told_tastes(field, world)),
        None => {}
    }
    routers.push(Box::new(factor::Factors::new(field)));
    if let (Some(world), true) = (field.truth.world(), sparse) {
        for router in factor_cells::all(field, world.kind())? {
            routers.push(Box::new(router));
        }
    }
    if sparse {
        routers.push(Box::new(own::Own::new(field)));
    }
    Ok(routers)
}

/// Baselines that are told every user's preference, which is all there is to know in `line`.
fn told_preference<'a>(field: &Field<'a>, world: &World) -> Result<Vec<Box<dyn Router + 'a>>> {
    let mut routers: Vec<Box<dyn Router + 'a>> = vec![Box::new(mean::task_means(field, world))];
    if field.dataset.query_embeddings.ncols() > 0 {
        routers.push(Box::new(ridge::ridge(field, world)));
        routers.push(Box::new(neighbour::neighbours(field, world)));
        routers.push(Box::new(mlp::network(field, world)?));
    }
    Ok(routers)
}

/// Baselines that are told more and more of the users of a world with tastes.
fn told_tastes<'a>(field: &Field<'a>, world: &World) -> Vec<Box<dyn Router + 'a>> {
    let means = mean::task_means(field, world);
    let mut routers: Vec<Box<dyn Router + 'a>> =
        vec![Box::new(means.clone()), Box::new(means.clone().told("told_all_task_means", mean::Told::Tastes))];
    if world.kind() == WorldKind::Persona {
        routers.push(Box::new(means.told("told_all_and_habit", mean::Told::Habits)));
    }
    routers
}

#[cfg(test)]
mod tests;
