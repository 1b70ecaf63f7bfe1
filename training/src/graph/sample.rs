//! Interactions of a few users as padded lists: what the adapter reads.

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
