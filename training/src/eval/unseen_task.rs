//! A task that training has never seen: its queries leave the data set, and all of them are the test.

use ndarray::Axis;

use crate::data::{Dataset, Query, Split};

/// One task left out.
#[derive(Debug, Clone)]
pub struct LeftOut {
    /// Everything but the task and its queries.
    pub known: Dataset,
    /// Training and validation queries of the other tasks, as rows of `known`; nothing is tested there.
    pub learned: Split,
    /// The same queries as rows of the whole data set, beside all queries of the task as the test.
    pub measured: Split,
}

impl LeftOut {
    /// Takes `task` out of a data set; `split` is that of the whole.
    pub fn new(dataset: &Dataset, split: &Split, task: u32) -> Self {
        let of = |row: &u32| dataset.queries.get(*row as usize).is_some_and(|query| query.task == task);
        let (test, kept): (Vec<u32>, Vec<u32>) = (0..).take(dataset.queries.len()).partition(|row| of(row));
        let others = |rows: &[u32]| rows.iter().copied().filter(|row| !of(row)).collect::<Vec<u32>>();
        let (train, validation) = (others(&split.train), others(&split.validation));
        // Rows keep their order, so a query's new row is its place among those that stay.
        let place = |row: &u32| kept.binary_search(row).ok().and_then(|row| u32::try_from(row).ok());
        let rows = |rows: &[u32]| rows.iter().filter_map(place).collect();
        Self {
            learned: Split { train: rows(&train), validation: rows(&validation), test: Vec::new() },
            known: without(dataset, task, &kept),
            measured: Split { train, validation, test },
        }
    }
}

/// Returns the data set of the queries `kept`, without the task that none of them belongs to.
fn without(dataset: &Dataset, task: u32, kept: &[u32]) -> Dataset {
    let rows: Vec<usize> = kept.iter().map(|&row| row as usize).collect();
    let tasks: Vec<usize> = (0..dataset.tasks.len()).filter(|&other| other != task as usize).collect();
    let query = |&row: &usize| {
        let query = dataset.queries.get(row)?;
        Some(Query { task: query.task - u32::from(query.task > task), ..query.clone() })
    };
    let select = |array: &ndarray::Array2<f32>, rows: &[usize], whole: usize| match array.nrows() == whole {
        true => array.select(Axis(0), rows),
        false => array.clone(),
    };
    let queries = dataset.queries.len();
    Dataset {
        tasks: tasks.iter().filter_map(|&task| dataset.tasks.get(task)).cloned().collect(),
        task_embeddings: select(&dataset.task_embeddings, &tasks, dataset.tasks.len()),
        queries: rows.iter().filter_map(query).collect(),
        query_embeddings: select(&dataset.query_embeddings, &rows, queries),
        effect: select(&dataset.effect, &rows, queries),
        cost: select(&dataset.cost, &rows, queries),
        name: dataset.name.clone(),
        llms: dataset.llms.clone(),
        llm_embeddings: dataset.llm_embeddings.clone(),
        fingerprint: dataset.fingerprint.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::split::{Ratio, split};
    use crate::fixture::Fixture;

    #[test]
    fn nothing_of_the_left_out_task_is_left_to_learn_from() {
        let data = Fixture::new().dataset;
        let whole = split(&data.queries, data.tasks.len(), Ratio::PROTOCOL, 4);
        let left = LeftOut::new(&data, &whole, 1);
        let names: Vec<&str> = left.known.tasks.iter().map(|task| task.name.as_str()).collect();
        assert_eq!(names, ["task-0", "task-2"]);
        // Queries 1, 4, 7 … are those of the task; the text of no other has its words.
        assert_eq!(left.measured.test, (0..180).filter(|row| row % 3 == 1).collect::<Vec<u32>>());
        assert_eq!((left.known.queries.len(), left.learned.test.len()), (120, 0));
        assert!(left.known.queries.iter().all(|query| query.id % 3 != 1 && query.task < 2));
        let words = ["loop", "print", "code"];
        assert!(left.known.queries.iter().all(|query| words.iter().all(|word| !query.text.contains(word))));
        // A query keeps its outcomes and its vector, wherever its row is now.
        for row in 0..left.known.queries.len() {
            let before = row / 2 * 3 + row % 2 * 2;
            assert_eq!(left.known.queries[row].id, data.queries[before].id);
            assert_eq!(left.known.effect.row(row), data.effect.row(before));
            assert_eq!(left.known.cost.row(row), data.cost.row(before));
            assert_eq!(left.known.query_embeddings.row(row), data.query_embeddings.row(before));
        }
        // Both splits name the same queries: the whole's, without the task's.
        let ids = |data: &Dataset, rows: &[u32]| rows.iter().map(|&r| data.queries[r as usize].id).collect::<Vec<_>>();
        assert_eq!(ids(&left.known, &left.learned.train), ids(&data, &left.measured.train));
        assert_eq!(ids(&left.known, &left.learned.validation), ids(&data, &left.measured.validation));
        let others = whole.train.iter().filter(|&&row| row % 3 != 1).count();
        assert_eq!((left.measured.train.len(), others), (84, 84));
    }
}
