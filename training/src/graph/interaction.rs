//! Interactions of a few users as padded lists: the adapter's input.

use personaroute_bundle::signals::{Rated, groups, signals};

/// Interactions of several users, padded to the longest.
#[derive(Debug, Clone, Default)]
pub struct InteractionBatch {
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
    /// `[users, width]`: answers to one query share a number.
    pub group: Vec<i64>,
}

/// One rated answer of a user.
#[derive(Debug, Clone, Copy)]
pub struct InteractionFeatures {
    /// Index of the LLM.
    pub llm: i64,
    /// Index of the task, or the number of tasks.
    pub task: i64,
    /// Reward, reward against the group's mean, whether the group has more than one answer.
    pub signals: [f32; 3],
    /// Number that the answers to one query share.
    pub group: i64,
}

impl InteractionBatch {
    /// Returns what users rated; `unknown_task` stands for a task that is not known.
    pub fn rated(users: &[Vec<Rated>], unknown_task: usize) -> Self {
        let of = |((rated, signals), group): ((&Rated, [f32; 3]), i64)| InteractionFeatures {
            llm: i64::from(rated.llm),
            task: rated.task.map_or(unknown_task as i64, i64::from),
            signals,
            group,
        };
        let lists: Vec<Vec<InteractionFeatures>> =
            users.iter().map(|rated| rated.iter().zip(signals(rated)).zip(groups(rated)).map(of).collect()).collect();
        Self::pad(&lists, unknown_task)
    }

    /// Pads lists; at least one column, all masked, where every list is empty.
    pub fn pad(lists: &[Vec<InteractionFeatures>], unknown_task: usize) -> Self {
        let width = lists.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let padding = InteractionFeatures { llm: 0, task: unknown_task as i64, signals: [0.0; 3], group: 0 };
        let mut out = Self { users: lists.len(), width, ..Self::default() };
        for list in lists {
            for column in 0..width {
                let interaction = list.get(column).unwrap_or(&padding);
                out.llm.push(interaction.llm);
                out.task.push(interaction.task);
                out.signals.extend(interaction.signals);
                out.group.push(interaction.group);
                out.mask.push(if column < list.len() { 1.0 } else { 0.0 });
            }
        }
        out
    }
}
