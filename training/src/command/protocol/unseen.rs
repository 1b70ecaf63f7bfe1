//! Leave one task out: trains on the others, measures on all queries of that task, without saying which task it is.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::ProtocolRun;
use crate::baseline::{constant, mean};
use crate::data::simulate::{Draw, population};
use crate::data::world::World;
use crate::data::{Interactions, Split};
use crate::eval::ground_truth::GroundTruth;
use crate::eval::metric::Metrics;
use crate::eval::model_router::ModelRouter;
use crate::eval::unseen_task::LeftOut;
use crate::eval::{EvalSet, measure};
use crate::model::Router;
use crate::report::Row;

/// Rows of one left-out task.
#[derive(Debug, Clone)]
pub(super) struct LeftOutTask {
    pub(super) task: String,
    pub(super) rows: Vec<Row>,
}

impl ProtocolRun<'_> {
    /// Leaves out each task in turn; training hears all users, every so many of them are measured.
    pub(super) fn unseen_tasks(&self, split: &Split, world: &World, draw: Draw) -> Result<Vec<LeftOutTask>> {
        let dataset = &self.dataset;
        if dataset.tasks.len() < 2 {
            bail!(
                "{}: --unseen-tasks leaves out one task at a time: expected two tasks or more, found one",
                dataset.name
            );
        }
        let tasks = (0_u32..).zip(&dataset.tasks);
        let left = |(task, info): (u32, &crate::data::TaskInfo)| {
            let rows = self.unseen_task(&LeftOut::new(dataset, split, task), world, draw)?;
            Ok(LeftOutTask { task: info.name.clone(), rows })
        };
        tasks.map(left).collect()
    }

    fn unseen_task(&self, left: &LeftOut, world: &World, draw: Draw) -> Result<Vec<Row>> {
        let seen = population(&left.known, &left.learned, world, draw);
        let seen = self.disturbed(seen, &left.known, draw.seed);
        let some = world.subset((0..world.len()).step_by(usize::from(self.args.every)));
        let measured = some.infos();
        let truth = GroundTruth::Simulated { dataset: &self.dataset, world: some.clone() };
        let nothing = Interactions::default();
        let set = EvalSet::new(&self.dataset, &truth, &left.measured, &nothing, draw.seed);
        let single = constant::BestPerUser::new(&set);
        let overall = constant::Constant::best_overall(&set);
        let means = mean::over_tasks(&set, &some);
        let hindsight = constant::BestPerUser::in_hindsight(&set);
        let mut routers: Vec<&dyn Router> = vec![&overall, &single, &means, &hindsight];
        let fit = match self.args.baselines_only {
            true => None,
            false => Some(self.fit((&left.learned, draw.seed), &left.known, &seen)?),
        };
        let router = match &fit {
            None => None,
            Some(fit) => Some(ModelRouter::unknown(&*fit.model, &self.dataset, &measured, &left.measured.test)?),
        };
        if let Some(router) = &router {
            routers.insert(0, router);
        }
        let row = |router: &dyn Router| {
            measure(&set, router).map(|outcome| Row { name: outcome.name, metrics: outcome.metrics })
        };
        routers.into_iter().map(row).collect()
    }
}

/// Returns the means over tasks; the gap is that of the means, as a task without one would outweigh all others.
pub(super) fn means(left: &[LeftOutTask]) -> Vec<Row> {
    let of = |at: usize| left.iter().filter_map(|task| task.rows.get(at)).map(|row| row.metrics).collect::<Vec<_>>();
    let first = left.first().map(|task| task.rows.as_slice()).unwrap_or_default();
    let mean = |(at, row): (usize, &Row)| {
        let mut metrics = Metrics::mean(&of(at));
        let room = metrics.oracle - metrics.best_single_per_user;
        metrics.gap_closed = (metrics.reward - metrics.best_single_per_user) / room;
        Row { name: row.name.clone(), metrics }
    };
    first.iter().enumerate().map(mean).collect()
}

/// Mean rewards over seeds, by task: each with the routers' and the oracle's.
fn by_task(seeds: &[&[LeftOutTask]]) -> Vec<(String, Vec<(String, f64)>)> {
    let first = seeds.first().copied().unwrap_or_default();
    let task = |(at, left): (usize, &LeftOutTask)| {
        let mean = |value: &dyn Fn(&LeftOutTask) -> Option<f64>| {
            seeds.iter().filter_map(|seed| seed.get(at)).filter_map(value).sum::<f64>() / seeds.len().max(1) as f64
        };
        let reward = |row: usize| mean(&|left: &LeftOutTask| left.rows.get(row).map(|row| row.metrics.reward));
        let mut rewards: Vec<(String, f64)> =
            left.rows.iter().enumerate().map(|(at, row)| (row.name.clone(), reward(at))).collect();
        rewards.push(("oracle".to_owned(), mean(&|left| left.rows.first().map(|row| row.metrics.oracle))));
        (left.task.clone(), rewards)
    };
    first.iter().enumerate().map(task).collect()
}

/// Returns the rewards by task as JSON.
pub(super) fn json(seeds: &[&[LeftOutTask]]) -> Map<String, Value> {
    let one = |(task, rewards): (String, Vec<(String, f64)>)| {
        (task, Value::Object(rewards.into_iter().map(|(name, reward)| (name, json!(reward))).collect()))
    };
    by_task(seeds).into_iter().map(one).collect()
}

/// Returns the rewards by task as a table; empty where no task was left out.
pub(super) fn markdown(seeds: &[&[LeftOutTask]]) -> String {
    let tasks = by_task(seeds);
    let names: Vec<&str> =
        tasks.first().into_iter().flat_map(|(_, rewards)| rewards).map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        return String::new();
    }
    let width = tasks.iter().map(|(task, _)| task.chars().count()).max().unwrap_or(0).max("left out".len());
    let mut text = format!("| {:<width$} | {} |\n|{}|", "left out", names.join(" | "), "-".repeat(width + 2));
    for name in &names {
        text.push_str(&format!("{}:|", "-".repeat(name.chars().count() + 1)));
    }
    text.push('\n');
    for (task, rewards) in &tasks {
        let cells = rewards.iter().map(|(name, reward)| format!("{reward:>width$.4}", width = name.chars().count()));
        text.push_str(&format!("| {task:<width$} | {} |\n", cells.collect::<Vec<_>>().join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(task: &str, rewards: [f64; 2]) -> LeftOutTask {
        let row = |(name, reward): (&str, f64)| Row {
            name: name.to_owned(),
            metrics: Metrics {
                reward,
                best_single_per_user: rewards[1],
                oracle: 0.5,
                gap_closed: (reward - rewards[1]) / (0.5 - rewards[1]),
                accuracy: 0.0,
                routed_differently: 0.0,
                performance: 0.0,
                cost: 0.0,
            },
        };
        let names = ["router_task_unknown", "best_single_per_user"];
        LeftOutTask { task: task.to_owned(), rows: names.into_iter().zip(rewards).map(row).collect() }
    }

    #[test]
    fn means_are_over_tasks_and_the_gap_is_that_of_the_means() {
        let rows = means(&[left("a", [0.25, 0.125]), left("b", [0.375, 0.5])]);
        let router = rows[0].metrics;
        assert_eq!((router.reward, router.best_single_per_user, router.oracle), (0.3125, 0.3125, 0.5));
        assert_eq!((router.gap_closed, rows[1].metrics.gap_closed), (0.0, 0.0));
        assert!(means(&[]).is_empty());
    }

    #[test]
    fn rewards_by_task_are_means_over_seeds() {
        let seeds = [vec![left("a", [0.25, 0.125])], vec![left("a", [0.5, 0.25])]];
        let seeds: Vec<&[LeftOutTask]> = seeds.iter().map(Vec::as_slice).collect();
        let json = json(&seeds);
        assert_eq!((json["a"]["router_task_unknown"].as_f64(), json["a"]["oracle"].as_f64()), (Some(0.375), Some(0.5)));
        let table = markdown(&seeds);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[2], "| a        |              0.3750 |               0.1875 | 0.5000 |");
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{table}");
        assert!(markdown(&[]).is_empty());
    }
}
