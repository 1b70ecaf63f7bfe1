//! The user table survives a round trip, and damaged files are refused or harmless.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

use super::*;

fn table(users: &[(&str, &[f32])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = UserTableWriter::new(users.first().map_or(2, |user| user.1.len()), Precision::F32);
    for (id, embedding) in users {
        writer.push(id, embedding, Some(0.5), (7, 0.5)).unwrap();
    }
    writer.write(dir.path()).unwrap();
    dir
}

fn refusal(dir: &TempDir) -> String {
    UserTable::open(dir.path()).err().map(|error| error.to_string()).unwrap_or_default()
}

/// Writes `users.safetensors` from (name, type, shape) with zeroes.
fn write_rows(dir: &TempDir, tensors: &[(&str, Dtype, &[usize])]) {
    let zeroes = [0; 256];
    let views = tensors.iter().map(|(name, dtype, shape)| {
        let size = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (*name, TensorView::new(*dtype, shape.to_vec(), &zeroes[..size]).unwrap())
    });
    fs::write(dir.path().join(USER_ROWS), safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn empty_table_opens_and_knows_nobody() {
    let dir = table(&[]);
    let users = UserTable::open(dir.path()).unwrap();
    assert!(users.is_empty() && users.dim() == 2 && users.get("").is_none());
}

#[test]
fn half_precision_keeps_three_digits() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = UserTableWriter::new(3, Precision::F16);
    writer.push("a", &[0.123_456, -3.0, 60_000.0], None, (0, 0.0)).unwrap();
    assert!(writer.push("b", &[70_000.0, 0.0, 0.0], None, (0, 0.0)).unwrap_err().to_string().contains("F16"));
    writer.write(dir.path()).unwrap();
    let users = UserTable::open(dir.path()).unwrap();
    let row = users.get("a").unwrap();
    assert!((row.embedding[0] - 0.123_456).abs() < 1e-4 && row.embedding[1] == -3.0 && row.preference.is_none());
    assert_eq!((users.precision(), users.len()), (Precision::F16, 1));
}

#[test]
fn writer_refuses_what_it_cannot_keep() {
    let mut writer = UserTableWriter::new(1, Precision::F32);
    let mut refused = |embedding: &[f32], preference, known| {
        writer.push("u\n1", embedding, preference, known).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&[1.0, 2.0], None, (0, 0.0)),
        "users.safetensors: embedding of user \"u\\n1\": expected 1 values, found 2"
    );
    assert!(refused(&[f32::NAN], None, (0, 0.0)).contains("embedding of user"));
    assert!(refused(&[1.0], Some(1.5), (0, 0.0)).contains("preference of user"));
    assert!(refused(&[1.0], None, (u32::MAX, 0.0)).contains("interactions of user"));
    assert!(refused(&[1.0], None, (1, 1.5)).contains("certainty of user"));
    assert!(writer.is_empty());
}

#[test]
fn two_users_of_one_id_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = UserTableWriter::new(1, Precision::F32);
    for id in ["a", "b", "a"] {
        writer.push(id, &[0.0], None, (0, 0.0)).unwrap();
    }
    let message = writer.write(dir.path()).unwrap_err().to_string();
    assert!(message.ends_with("users.idx: ids: expected each once, found \"a\" again in row 2"), "{message}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_file_cut_anywhere_is_refused_by_name() {
    let dir = table(&[("ann", &[1.0, 2.0]), ("bob", &[3.0, 4.0])]);
    for name in [USER_ROWS, USER_INDEX] {
        let file = dir.path().join(name);
        let whole = fs::read(&file).unwrap();
        for len in 0..whole.len() {
            fs::write(&file, &whole[..len]).unwrap();
            assert!(refusal(&dir).contains(name), "{name} cut to {len} bytes");
        }
        fs::write(&file, [&whole[..], b"x"].concat()).unwrap();
        assert!(refusal(&dir).contains(name), "{name} with a byte too many");
        fs::write(&file, whole).unwrap();
    }
    assert_eq!(refusal(&dir), "");
}

#[test]
fn a_flipped_bit_never_panics() {
    let dir = table(&[("ann", &[1.0, 2.0]), ("bob", &[3.0, 4.0]), ("zoë", &[5.0, 6.0])]);
    for name in [USER_ROWS, USER_INDEX] {
        let file = dir.path().join(name);
        let whole = fs::read(&file).unwrap();
        for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            fs::write(&file, damaged).unwrap();
            if let Ok(users) = UserTable::open(dir.path()) {
                for id in ["ann", "bob", "zoë", "eve"] {
                    assert!(users.get(id).is_none_or(|row| row.embedding.len() == users.dim()));
                }
                assert!(users.ids().count() <= 3);
            }
        }
        fs::write(&file, whole).unwrap();
    }
}

#[test]
fn index_of_another_table_is_refused() {
    let (dir, other) = (table(&[("a", &[1.0])]), table(&[("a", &[1.0]), ("b", &[1.0])]));
    fs::copy(other.path().join(USER_INDEX), dir.path().join(USER_INDEX)).unwrap();
    assert!(refusal(&dir).ends_with("users.idx: count: expected 1 as in users.safetensors, found 2"));
}

#[test]
fn foreign_index_is_refused_by_its_magic() {
    let dir = table(&[("a", &[1.0])]);
    fs::write(dir.path().join(USER_INDEX), [b"PRUIDX02".as_slice(), &[0; 64]].concat()).unwrap();
    assert!(refusal(&dir).ends_with("users.idx: magic: expected PRUIDX01, found PRUIDX02"));
}

#[test]
fn wrong_tensors_are_refused_by_name() {
    let dir = table(&[("a", &[1.0, 1.0])]);
    let (f32, i32) = (Dtype::F32, Dtype::I32);
    let right: [(&str, Dtype, &[usize]); 4] = [
        ("embedding", f32, &[1, 2]),
        ("preference", f32, &[1]),
        ("interactions", Dtype::U32, &[1]),
        ("certainty", f32, &[1]),
    ];
    let refused = |at: usize, dtype, shape| {
        let mut tensors = right;
        tensors[at] = (tensors[at].0, dtype, shape);
        write_rows(&dir, &tensors);
        refusal(&dir)
    };
    assert_eq!(refused(2, i32, &[1]), "");
    assert!(refused(0, f32, &[2]).ends_with("embedding: expected shape [users, dim], found [2]"));
    assert!(refused(1, f32, &[2]).ends_with("preference: expected shape [1], found [2]"));
    assert!(refused(3, f32, &[1, 1]).ends_with("certainty: expected shape [1], found [1, 1]"));
    assert!(refused(0, Dtype::I64, &[1, 2]).ends_with("embedding: expected F16 or F32, found I64"));
    assert!(refused(2, f32, &[1]).ends_with("interactions: expected I32 or U32, found F32"));
    assert!(refused(3, i32, &[1]).ends_with("certainty: expected F32, found I32"));
    write_rows(&dir, &right[..3]);
    assert!(refusal(&dir).ends_with("users.safetensors: certainty: expected a tensor of this name, found none"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn users_come_back_by_any_id(
        users in prop::collection::btree_map(any::<String>(), (any::<[u16; 3]>(), any::<Option<u8>>(), 0_u32..9), 0..40),
        strangers in prop::collection::vec(any::<String>(), 0..10),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = UserTableWriter::new(3, Precision::F32);
        let mut expected = BTreeMap::new();
        for (id, (values, preference, interactions)) in &users {
            let embedding = values.map(|value| f32::from(value) / 7.0).to_vec();
            let preference = preference.map(|preference| f32::from(preference) / 255.0);
            let certainty = *interactions as f32 / 16.0;
            writer.push(id, &embedding, preference, (*interactions, certainty)).unwrap();
            expected.insert(id.as_str(), UserRow { embedding, preference, interactions: *interactions, certainty });
        }
        writer.write(dir.path()).unwrap();
        let table = UserTable::open(dir.path()).unwrap();
        prop_assert!(table.ids().eq(users.keys()));
        for (id, row) in &expected {
            prop_assert_eq!(table.get(id), Some(row.clone()));
        }
        for id in strangers.iter().filter(|id| !users.contains_key(*id)) {
            prop_assert_eq!(table.get(id), None);
        }
    }
}
