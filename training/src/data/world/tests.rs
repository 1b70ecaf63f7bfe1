//! Simulated users are those of an independent implementation, on the data set generated here and on the committed one.

use ndarray::Array2;
use serde_json::Value;

use super::*;
use crate::data::outcome::tests::committed;
use crate::data::outcome::{self, Cost};
use crate::data::simulate::{Draw, Users, population};
use crate::data::split::{Ratio, split};
use crate::data::{LlmInfo, Query, SignalKind, Split, TaskInfo};

/// What an independent implementation says of one world on [`generated`] data, split of seed 1.
struct Known {
    kind: WorldKind,
    key: u64,
    /// Utilities of (user, query, LLM) (0, 0, 0), (17, 50, 1) and (999, 139, 3).
    utilities: [f64; 3],
    /// Sum of the utilities of all users.
    total: f64,
    /// Sums of what users say, by LLM: of all answers, and in bandit form.
    said: [f64; 4],
    bandit: [f64; 4],
    /// Sum of squares of what they say of all answers.
    squares: f64,
}

const KNOWN: [Known; 6] = [
    Known {
        kind: WorldKind::Taste,
        key: 42,
        utilities: [0.2187373583867223, 0.0216328716747497, 0.9544961529469453],
        total: 56799.84560637101,
        said: [7451.96900279672, 5462.697858835086, 3763.0373800742755, -556.7680321789159],
        bandit: [1889.7526452463833, 1350.931707074598, 924.9379964768616, -85.8755882002694],
        squares: 23484.587972764075,
    },
    Known {
        kind: WorldKind::Taste,
        key: 7,
        utilities: [-0.009830406066640597, 0.5755045650549652, -0.5107973835546166],
        total: 50066.77860393402,
        said: [7202.172855759686, 4885.861280101194, 3193.3176769728366, -1105.6436000123083],
        bandit: [1818.4667259875607, 1267.294116767789, 824.7679978715389, -333.8628306351633],
        squares: 20476.73381314728,
    },
    Known {
        kind: WorldKind::Choice,
        key: 42,
        utilities: [0.2187373583867223, 0.0216328716747497, 0.9544961529469453],
        total: 56799.84560637101,
        said: [14346.0, 10775.0, 8850.0, 6029.0],
        bandit: [3618.0, 2671.0, 2170.0, 1472.0],
        squares: 40000.0,
    },
    Known {
        kind: WorldKind::Choice,
        key: 7,
        utilities: [-0.009830406066640597, 0.5755045650549652, -0.5107973835546166],
        total: 50066.77860393402,
        said: [14592.0, 10783.0, 7814.0, 6811.0],
        bandit: [3663.0, 2768.0, 1966.0, 1641.0],
        squares: 40000.0,
    },
    Known {
        kind: WorldKind::Persona,
        key: 42,
        utilities: [0.407898293800754, 0.2955130337822291, 1.0786272395191179],
        total: 57716.39833900096,
        said: [21012.75, 19679.75, 18513.0, 16161.75],
        bandit: [5268.25, 4964.75, 4583.75, 4017.0],
        squares: 55357.1875,
    },
    Known {
        kind: WorldKind::Persona,
        key: 7,
        utilities: [0.045334634423678605, 0.5804282168735766, 0.4356574980174458],
        total: 50174.50218965288,
        said: [22690.75, 20740.5, 19712.5, 17129.75],
        bandit: [5687.25, 5290.25, 4963.25, 4170.5],
        squares: 59525.375,
    },
];

/// 140 queries of three tasks, answered by four LLMs, by formula.
pub(crate) fn generated() -> Dataset {
    let task = |query: usize| u32::from(query >= 30) + u32::from(query >= 80);
    let tenth = |query: usize, llm: usize| ((7 * query + 3 * llm * llm + query * llm) % 11) as f32 / 10.0;
    let price = |query: usize, llm: usize| ((5 * query + 2 * llm) % 13) as f32 / 12.0 * (llm as f32 + 1.0) / 4.0;
    let llm = |llm: usize| LlmInfo {
        id: format!("llm-{llm}"),
        description: String::new(),
        model: format!("m{llm}"),
        input_price: 1.0,
        output_price: 1.0,
        family: None,
    };
    let query = |query: usize| Query {
        id: 3 * query as u64 + 1,
        task: task(query),
        // Two bytes a letter: lengths are counted in characters.
        text: "é".repeat(1 + (query * query) % 17),
    };
    let tasks = ["art", "code", "maths"].map(|name| TaskInfo { name: name.to_owned(), description: String::new() });
    Dataset {
        name: "generated".to_owned(),
        llms: (0..4).map(llm).collect(),
        llm_embeddings: Array2::zeros((4, 0)),
        tasks: tasks.to_vec(),
        task_embeddings: Array2::zeros((3, 0)),
        queries: (0..140).map(query).collect(),
        query_embeddings: Array2::zeros((140, 0)),
        effect: Array2::from_shape_fn((140, 4), |(query, llm)| tenth(query, llm)),
        cost: Array2::from_shape_fn((140, 4), |(query, llm)| price(query, llm)),
        fingerprint: String::new(),
    }
}

/// The split of seed 1.
pub(crate) fn first_split(data: &Dataset) -> Split {
    split(&data.queries, data.tasks.len(), Ratio::PROTOCOL, 1)
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{found} against {expected}");
}

#[test]
fn hidden_utilities_are_those_of_the_reference() {
    let data = generated();
    let all: Vec<u32> = (0..140).collect();
    for known in KNOWN {
        let world = Users::Uniform(1000).world(&data, known.kind, known.key).unwrap();
        let utilities: Vec<Array2<f64>> = (0..1000).map(|user| world.person(user).utilities(&data, &all)).collect();
        for ((user, query, llm), expected) in [(0, 0, 0), (17, 50, 1), (999, 139, 3)].into_iter().zip(known.utilities) {
            near(utilities[user][[query, llm]], expected);
        }
        near(utilities.iter().map(|utilities| utilities.sum()).sum(), known.total);
    }
}

#[test]
fn users_say_what_those_of_the_reference_say() {
    let data = generated();
    let split = first_split(&data);
    for known in KNOWN {
        let world = Users::Uniform(1000).world(&data, known.kind, known.key).unwrap();
        let said = |feedback| {
            let draw = Draw { seed: 1, seen: Some(40), feedback };
            population(&data, &split, &world, draw).entries
        };
        let (full, bandit) = (said(Feedback::Full), said(Feedback::Bandit));
        assert_eq!((full.len(), bandit.len()), (160_000, 40_000));
        for (entries, expected) in [(&full, known.said), (&bandit, known.bandit)] {
            let mut sums = [0.0; 4];
            entries.iter().for_each(|entry| sums[usize::from(entry.llm)] += f64::from(entry.value));
            sums.into_iter().zip(expected).for_each(|(sum, expected)| near(sum, expected));
        }
        near(full.iter().map(|entry| f64::from(entry.value).powi(2)).sum(), known.squares);
        let kind = if known.kind == WorldKind::Choice { SignalKind::Choice } else { SignalKind::Rating };
        assert!(full.iter().all(|entry| entry.kind == kind));
    }
}

#[test]
fn another_key_and_another_world_are_other_users() {
    let data = generated();
    let of = |kind, key| Users::Uniform(2).world(&data, kind, key).unwrap().person(1).utilities(&data, &[0, 1, 2]);
    assert_eq!(of(WorldKind::Taste, 42), of(WorldKind::Choice, 42));
    assert_ne!(of(WorldKind::Taste, 42), of(WorldKind::Taste, 7));
    assert_ne!(of(WorldKind::Line, 42), of(WorldKind::Line, 7));
    assert_ne!(of(WorldKind::Taste, 42), of(WorldKind::Line, 42));
    // A user is the same in a world of any size: nothing depends on how many others there are.
    let few = World::new(&data, WorldKind::Persona, 42, [1]).person(0).utilities(&data, &[5]);
    let many = Users::Uniform(300).world(&data, WorldKind::Persona, 42).unwrap().person(1).utilities(&data, &[5]);
    assert_eq!(few, many);
}

#[test]
fn what_has_no_meaning_is_refused() {
    let data = generated();
    let nine = Users::Nine.world(&data, WorldKind::Taste, KEY).unwrap_err().to_string();
    assert_eq!(
        nine,
        "world `taste` is defined for users with uniform preferences: expected s1000 (or --users 1000), found the paper's nine users"
    );
    let key = Users::Nine.world(&data, WorldKind::Line, 7).unwrap_err().to_string();
    assert!(key.starts_with("the paper's nine users have fixed preferences"), "{key}");
    let bandit = WorldKind::Choice.check(Feedback::Bandit).unwrap_err().to_string();
    assert!(bandit.starts_with("world `choice` has no bandit feedback"), "{bandit}");
    let users = [UserInfo { id: "ada".to_owned(), preference: None }];
    let error = World::of_users(&data, WorldKind::Taste, KEY, &users).unwrap_err().to_string();
    assert_eq!(error, "user `ada` is not of a simulated world: expected a number as its id");
}

#[test]
fn outcomes_that_are_not_known_are_not_said_anything_of() {
    let mut data = generated();
    data.effect[[3, 2]] = f32::NAN;
    let world = Users::Uniform(3).world(&data, WorldKind::Choice, KEY).unwrap();
    let said = world.person(2).signals(&data, &[3], (1, Feedback::Full));
    assert_eq!(said.iter().map(|entry| entry.llm).collect::<Vec<_>>(), [0, 1, 3]);
    assert_eq!(said.iter().map(|entry| entry.value).sum::<f32>(), 1.0);
}

/// What an independent implementation, `tests/fixtures/worlds.py`, says of the committed outcomes.
#[test]
fn an_independent_implementation_has_the_same_users() {
    let data = outcome::read(&committed("outcomes"), Cost::CostLog, &[]).unwrap();
    let answers: Value = serde_json::from_slice(&std::fs::read(committed("worlds.json")).unwrap()).unwrap();
    let split = first_split(&data);
    for (kind, key) in [(WorldKind::Taste, 7_u64), (WorldKind::Choice, 42), (WorldKind::Persona, 42)] {
        let world = Users::Uniform(1000).world(&data, kind, key).unwrap();
        let users = answers[format!("{} {key}", kind.as_str())].as_array().unwrap();
        assert_eq!(users.len(), 11);
        for (expected, user) in users.iter().zip((0..1000).step_by(97)) {
            let person = world.person(user);
            let utilities = person.utilities(&data, &split.test);
            let mut rows = person.seen(&data, &split.train, 1, 40);
            // The script's rows are those of the file, in this order too.
            rows.sort_unstable();
            let said = person.signals(&data, &rows, (1, Feedback::Full));
            let weighted = said.iter().zip(1_u32..).map(|(entry, at)| f64::from(entry.value) * f64::from(at)).sum();
            let sum = said.iter().map(|entry| f64::from(entry.value)).sum();
            let found = [utilities.sum(), utilities.mapv(|utility| utility * utility).sum(), sum, weighted];
            for (found, expected) in found.into_iter().zip(expected.as_array().unwrap()) {
                near(found, expected.as_f64().unwrap());
            }
        }
    }
}
