//! The adapter's inputs: the interactions of users in columns, padded to the longest list.

/// What a user said of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum InteractionKind {
    /// A rating: a reward on the training data's scale.
    #[default]
    Rating,
    /// A choice among the responses of a group: 1 for the best one, 0 for the others. A vote is a choice among two.
    Choice,
}

/// The features of a query's text, as the scorer takes them.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum QueryFeatures {
    /// Not known.
    #[default]
    None,
    /// The ids of the lexical encoding.
    Ngrams(Vec<i64>),
    /// The vector of a text-embedding model.
    Embedding(Vec<f32>),
}

/// What is known of a query's task, by scorer column.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum TaskColumns {
    /// Nothing.
    #[default]
    Unknown,
    /// The column of the declared task.
    Declared(u32),
    /// A probability for each column; what is missing to 1 stands for an unknown task.
    Guessed(Vec<f32>),
}

/// One response of which a user said something, by scorer columns.
///
/// ```
/// use personaroute_bundle::interaction::{AdapterInputs, AdapterInteraction, InteractionKind, TaskColumns, TextInput};
///
/// let rating = |llm, value| AdapterInteraction { llm, value, group: 9, ..AdapterInteraction::default() };
/// let chosen = AdapterInteraction { kind: InteractionKind::Choice, task: TaskColumns::Declared(1), ..rating(2, 1.0) };
/// let inputs = AdapterInputs::new(&[vec![rating(0, 0.5), chosen], Vec::new()], 2, TextInput::Ngrams);
/// assert_eq!((inputs.users, inputs.interactions), (2, 2));
/// assert_eq!(inputs.weight, [1.0, 1.0, 0.0, 0.0]); // the second user has no interaction
/// assert_eq!(inputs.task, [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterInteraction {
    /// Scorer column of the LLM that responded.
    pub llm: u32,
    /// What is known of the query's task.
    pub task: TaskColumns,
    /// The query's features.
    pub query: QueryFeatures,
    /// What the user said.
    pub kind: InteractionKind,
    /// A reward on the training data's scale; of a choice, 1 for the best response and 0 for the others.
    pub value: f32,
    /// How much it counts, 0 to 1: less for what was said long ago.
    pub weight: f32,
    /// Groups the responses of several LLMs to one query of this user.
    pub group: u64,
}

impl Default for AdapterInteraction {
    /// A rating of 0 of the first LLM, with full weight; task and query are unknown.
    fn default() -> Self {
        Self {
            llm: 0,
            task: TaskColumns::Unknown,
            query: QueryFeatures::None,
            kind: InteractionKind::Rating,
            value: 0.0,
            weight: 1.0,
            group: 0,
        }
    }
}

/// The adapter's text input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextInput {
    /// Ids of the lexical encoding.
    Ngrams,
    /// Vectors of this length.
    Embedding(usize),
}

/// The adapter's inputs of some users, row-major; `interactions` is the longest list, at least 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdapterInputs {
    /// Number of users.
    pub users: usize,
    /// Interactions of the longest list.
    pub interactions: usize,
    /// Ids of the longest text, or the length of a vector; at least 1.
    pub text: usize,
    /// `[users, interactions]`.
    pub llm: Vec<i64>,
    /// `[users, interactions, tasks]`: one-hot, or probabilities, or zeros.
    pub task: Vec<f32>,
    /// `[users, interactions, text]`; empty under the other encoder. 0 is padding.
    pub ngrams: Vec<i64>,
    /// `[users, interactions, text]`; empty under the other encoder.
    pub query: Vec<f32>,
    /// `[users, interactions]`: 0 for a rating, 1 for a choice.
    pub kind: Vec<i64>,
    /// `[users, interactions]`.
    pub value: Vec<f32>,
    /// `[users, interactions]`; 0 is padding.
    pub weight: Vec<f32>,
    /// `[users, interactions]`: a number for each group, the position of its first interaction.
    pub group: Vec<i64>,
}

impl AdapterInputs {
    /// Lays out the interactions of users; `tasks` is the number of task columns. Features of the other encoder count as none.
    pub fn new<List: AsRef<[AdapterInteraction]>>(users: &[List], tasks: usize, text: TextInput) -> Self {
        let interactions = users.iter().map(|list| list.as_ref().len()).max().unwrap_or(0).max(1);
        let all = users.iter().flat_map(|list| list.as_ref());
        let width = match text {
            TextInput::Ngrams => all.map(|interaction| ngrams(interaction).len()).max().unwrap_or(0).max(1),
            TextInput::Embedding(dim) => dim,
        };
        let mut inputs = Self { users: users.len(), interactions, text: width, ..Self::default() };
        let padding = AdapterInteraction { weight: 0.0, ..AdapterInteraction::default() };
        for list in users.iter().map(AsRef::as_ref) {
            inputs.group.extend(groups(list));
            list.iter().for_each(|interaction| inputs.push(interaction, tasks, text));
            (list.len()..interactions).for_each(|_| inputs.push(&padding, tasks, text));
            inputs.group.resize(inputs.llm.len(), 0);
        }
        inputs
    }

    fn push(&mut self, interaction: &AdapterInteraction, tasks: usize, text: TextInput) {
        self.llm.push(interaction.llm.into());
        self.kind.push(match interaction.kind {
            InteractionKind::Rating => 0,
            InteractionKind::Choice => 1,
        });
        self.value.push(interaction.value);
        self.weight.push(interaction.weight);
        let count = self.llm.len();
        match &interaction.task {
            TaskColumns::Unknown => {}
            TaskColumns::Declared(column) => {
                self.task.extend((0..tasks).map(|task| if task == *column as usize { 1.0 } else { 0.0 }));
            }
            TaskColumns::Guessed(probabilities) => self.task.extend(probabilities.iter().take(tasks)),
        }
        self.task.resize(count * tasks, 0.0);
        match text {
            TextInput::Ngrams => {
                self.ngrams.extend(ngrams(interaction));
                self.ngrams.resize(count * self.text, 0);
            }
            TextInput::Embedding(dim) => {
                if let QueryFeatures::Embedding(values) = &interaction.query {
                    self.query.extend(values.iter().take(dim));
                }
                self.query.resize(count * dim, 0.0);
            }
        }
    }
}

fn ngrams(interaction: &AdapterInteraction) -> &[i64] {
    match &interaction.query {
        QueryFeatures::Ngrams(ids) => ids,
        QueryFeatures::None | QueryFeatures::Embedding(_) => &[],
    }
}

/// Returns a number for each interaction, which those of one group share: the position of the first of them.
fn groups(interactions: &[AdapterInteraction]) -> Vec<i64> {
    let numbered = interactions.iter().enumerate().map(|(idx, interaction)| (interaction.group, idx));
    let mut by_group: Vec<(u64, usize)> = numbered.collect();
    by_group.sort_unstable();
    let mut groups = vec![0; interactions.len()];
    for members in by_group.chunk_by(|(left, _), (right, _)| left == right) {
        let first = members.first().and_then(|(_, idx)| i64::try_from(*idx).ok()).unwrap_or(0);
        for (_, idx) in members {
            if let Some(group) = groups.get_mut(*idx) {
                *group = first;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rating(group: u64, value: f32) -> AdapterInteraction {
        AdapterInteraction { group, value, ..AdapterInteraction::default() }
    }

    #[test]
    fn responses_of_one_group_share_a_number() {
        assert_eq!(groups(&[rating(9, 0.0), rating(4, 0.0), rating(9, 1.0)]), [0, 1, 0]);
        assert!(groups(&[]).is_empty());
    }

    #[test]
    fn every_column_of_an_interaction_is_laid_out() {
        let chosen = AdapterInteraction {
            llm: 3,
            task: TaskColumns::Guessed(vec![0.25, 0.5]),
            query: QueryFeatures::Ngrams(vec![7, 8, 9]),
            kind: InteractionKind::Choice,
            value: 1.0,
            weight: 0.5,
            group: 77,
        };
        let short = AdapterInteraction { query: QueryFeatures::Ngrams(vec![5]), ..rating(1, -2.0) };
        let inputs = AdapterInputs::new(&[vec![chosen, short]], 2, TextInput::Ngrams);
        let expected = AdapterInputs {
            users: 1,
            interactions: 2,
            text: 3,
            llm: vec![3, 0],
            task: vec![0.25, 0.5, 0.0, 0.0],
            ngrams: vec![7, 8, 9, 5, 0, 0],
            query: Vec::new(),
            kind: vec![1, 0],
            value: vec![1.0, -2.0],
            weight: vec![0.5, 1.0],
            group: vec![0, 1],
        };
        assert_eq!(inputs, expected);
    }

    #[test]
    fn features_of_the_other_encoder_count_as_none() {
        let ids = AdapterInteraction { query: QueryFeatures::Ngrams(vec![5]), ..rating(1, 0.0) };
        let vector = AdapterInteraction { query: QueryFeatures::Embedding(vec![0.6, 0.8]), ..rating(1, 0.0) };
        let embedded = AdapterInputs::new(&[vec![ids.clone(), vector.clone()]], 1, TextInput::Embedding(2));
        assert_eq!((embedded.query, embedded.ngrams), (vec![0.0, 0.0, 0.6, 0.8], Vec::new()));
        let lexical = AdapterInputs::new(&[vec![ids, vector]], 1, TextInput::Ngrams);
        assert_eq!((lexical.ngrams, lexical.query), (vec![5, 0], Vec::new()));
    }

    proptest! {
        #[test]
        fn columns_have_the_extents_that_the_inputs_name(lists in prop::collection::vec(
            prop::collection::vec((0_u64..6, -9.0_f32..9.0, 0_usize..5), 0..20), 0..5)
        ) {
            let one = |&(group, value, ids): &(u64, f32, usize)| AdapterInteraction {
                query: QueryFeatures::Ngrams(vec![1; ids]),
                ..rating(group, value)
            };
            let users: Vec<Vec<AdapterInteraction>> =
                lists.iter().map(|list| list.iter().map(one).collect()).collect();
            let inputs = AdapterInputs::new(&users, 3, TextInput::Ngrams);
            let cells = inputs.users * inputs.interactions;
            prop_assert_eq!([inputs.llm.len(), inputs.kind.len(), inputs.group.len()], [cells; 3]);
            prop_assert_eq!([inputs.value.len(), inputs.weight.len()], [cells; 2]);
            prop_assert_eq!((inputs.task.len(), inputs.ngrams.len()), (3 * cells, cells * inputs.text));
            let counted: f32 = inputs.weight.iter().sum();
            prop_assert_eq!(counted, lists.iter().map(Vec::len).sum::<usize>() as f32);
        }
    }
}
