//! Minibatches over users: which of their edges are visible, and which masked ones have to be predicted.

use super::Graph;
use super::edges::{Edge, Group};
use crate::train::seed::Rng;

/// Most visible groups of a user in the sparse form: users of a running system have rated a few answers, not hundreds.
const SPARSE_VISIBLE: usize = 28;
/// Most masked groups that one user contributes to one batch; users with more take part more often.
pub const MAX_TARGETS: usize = 64;
/// Most visible groups of one user in one batch.
const MAX_VISIBLE: usize = 256;
/// Share of users whose visible edges are a single LLM per query (bandit feedback).
const BANDIT: f64 = 0.5;
/// Share of users shown without task names, so that the adapter can live without them.
const UNKNOWN_TASK: f64 = 0.1;
/// Share of users shown without any interaction: they train the population prior.
const NOTHING_VISIBLE: f64 = 0.03;

/// Interactions of several users, padded to the longest: the adapter's input.
#[derive(Debug, Clone, Default)]
pub struct Visible {
    /// Users in the batch.
    pub users: usize,
    /// Longest list.
    pub width: usize,
    /// `[users, width]`.
    pub llm: Vec<i64>,
    /// `[users, width]`; the number of tasks stands for an unknown one.
    pub task: Vec<i64>,
    /// `[users, width, 3]`.
    pub signals: Vec<f32>,
    /// `[users, width]`.
    pub mask: Vec<f32>,
}

/// Masked edges to predict, flat.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// Row of the user in the batch.
    pub user: Vec<i64>,
    /// Row of (task, LLM).
    pub cell: Vec<i64>,
    /// Index of the query times LLMs plus the LLM: where effect and cost are looked up.
    pub outcome: Vec<i64>,
    /// Reward.
    pub reward: Vec<f32>,
}

/// One interaction as the adapter sees it.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    /// Index of the LLM.
    pub llm: i64,
    /// Index of the task, or the number of tasks.
    pub task: i64,
    /// Reward, reward against the group's mean, whether the group has more than one answer.
    pub signals: [f32; 3],
}

/// Returns one training batch.
pub fn batch(graph: &Graph, users: &[usize], mask_rate: f64, rng: &mut Rng) -> (Visible, Targets) {
    let mut targets = Targets::default();
    let mut lists = Vec::with_capacity(users.len());
    for (row, &user) in users.iter().enumerate() {
        let mut groups: Vec<&Group> = graph.edges.groups(user).iter().filter(|group| !group.validation).collect();
        rng.shuffle(&mut groups);
        let visible = visible_count(groups.len(), mask_rate, rng);
        let (seen, masked) = groups.split_at_checked(visible).unwrap_or((&[], &groups));
        let bandit = rng.uniform() < BANDIT;
        let unknown = rng.uniform() < UNKNOWN_TASK;
        lists.push(messages(graph, seen, bandit.then_some(&mut *rng), unknown));
        masked.iter().take(MAX_TARGETS).for_each(|group| targets.push(graph, row, group));
    }
    (Visible::pad(&lists, graph.tasks), targets)
}

/// Returns all interactions of a user, validation edges included or not.
pub fn all_messages(graph: &Graph, user: usize, with_validation: bool) -> Vec<Message> {
    let groups: Vec<&Group> =
        graph.edges.groups(user).iter().filter(|group| with_validation || !group.validation).collect();
    messages(graph, &groups, None, false)
}

fn visible_count(groups: usize, mask_rate: f64, rng: &mut Rng) -> usize {
    let most = groups.saturating_sub(1);
    if most == 0 || rng.uniform() < NOTHING_VISIBLE {
        return 0;
    }
    if rng.uniform() < 0.5 {
        return 1 + rng.index(SPARSE_VISIBLE.min(most));
    }
    let kept = (0..groups.min(2 * MAX_VISIBLE)).filter(|_| rng.uniform() >= mask_rate).count();
    kept.clamp(1, most.min(MAX_VISIBLE))
}

/// Returns the groups' messages; with `bandit` only one random answer of each.
fn messages(graph: &Graph, groups: &[&Group], bandit: Option<&mut Rng>, unknown: bool) -> Vec<Message> {
    let task_of = |group: &Group| if unknown { graph.tasks as i64 } else { i64::from(group.task) };
    let Some(rng) = bandit else {
        let all = groups.iter().flat_map(|group| {
            let edges = graph.edges.of(group);
            let grouped = if edges.len() > 1 { 1.0 } else { 0.0 };
            edges.iter().map(move |edge| message(edge, task_of(group), [edge.relative, grouped]))
        });
        return all.collect();
    };
    let mut drawn = Vec::with_capacity(groups.len());
    for group in groups {
        let edges = graph.edges.of(group);
        if let Some(edge) = edges.get(rng.index(edges.len())) {
            drawn.push(message(edge, task_of(group), [0.0, 0.0]));
        }
    }
    drawn
}

fn message(edge: &Edge, task: i64, [relative, grouped]: [f32; 2]) -> Message {
    Message { llm: i64::from(edge.llm), task, signals: [edge.reward, relative, grouped] }
}

impl Visible {
    /// Pads lists of messages; at least one column, all masked, where every list is empty.
    pub fn pad(lists: &[Vec<Message>], unknown_task: usize) -> Self {
        let width = lists.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let padding = Message { llm: 0, task: unknown_task as i64, signals: [0.0; 3] };
        let mut out = Self { users: lists.len(), width, ..Self::default() };
        for list in lists {
            for column in 0..width {
                let message = list.get(column).unwrap_or(&padding);
                out.llm.push(message.llm);
                out.task.push(message.task);
                out.signals.extend(message.signals);
                out.mask.push(if column < list.len() { 1.0 } else { 0.0 });
            }
        }
        out
    }
}

impl Targets {
    fn push(&mut self, graph: &Graph, row: usize, group: &Group) {
        for edge in graph.edges.of(group) {
            self.user.push(row as i64);
            self.cell.push(graph.cell(group.task, edge.llm) as i64);
            self.outcome.push(i64::from(group.query) * graph.llms as i64 + i64::from(edge.llm));
            self.reward.push(edge.reward);
        }
    }
}
