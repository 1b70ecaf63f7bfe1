//! The yardsticks of the evaluation protocol, each behind the same trait as the net.
//!
//! "Told p" baselines know the users' preferences, which a router in the R setting never does: they are yardsticks only.

pub mod constant;
pub mod factor;
pub mod linear;
pub mod mean;
pub mod mlp;
pub mod neighbour;
pub mod own;
pub mod random;
pub mod ridge;

use anyhow::Result;

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
    if let Some(preferences) = field.truth.preferences() {
        routers.push(Box::new(mean::task_means(field, preferences)));
        if field.dataset.query_embeddings.ncols() > 0 {
            routers.push(Box::new(ridge::ridge(field, preferences)));
            routers.push(Box::new(neighbour::neighbours(field, preferences)));
            routers.push(Box::new(mlp::network(field, preferences)?));
        }
    }
    routers.push(Box::new(factor::Factors::new(field)));
    if sparse {
        routers.push(Box::new(own::Own::new(field)));
    }
    Ok(routers)
}

#[cfg(test)]
mod tests;
