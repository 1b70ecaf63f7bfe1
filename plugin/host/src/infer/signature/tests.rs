//! Invalid inputs are refused with a named cause; valid ones are put in the manifest's order.

use proptest::prelude::*;

use super::*;

fn spec(name: &str, element: Element, dims: &[Dim]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), element, dims: dims.to_vec() }
}

fn batch() -> Dim {
    Dim::Symbol("batch".to_owned())
}

fn signature() -> Signature {
    Signature {
        inputs: vec![
            spec("user", Element::F32, &[batch(), Dim::Fixed(3)]),
            spec("ngrams", Element::I64, &[batch(), Dim::Symbol("ids".to_owned())]),
        ],
        outputs: Vec::new(),
    }
}

fn user(dims: &[u32], len: usize) -> Tensor {
    Tensor { name: "user".to_owned(), dims: dims.to_vec(), elements: Elements::Float32(vec![0.0; len]) }
}

fn ngrams(dims: &[u32], len: usize) -> Tensor {
    Tensor { name: "ngrams".to_owned(), dims: dims.to_vec(), elements: Elements::Int64(vec![0; len]) }
}

fn refusal(inputs: Vec<Tensor>) -> String {
    signature().check(inputs).unwrap_err().to_string()
}

#[test]
fn inputs_are_put_in_the_order_of_the_manifest() {
    let inputs = signature().check(vec![ngrams(&[2, 5], 10), user(&[2, 3], 6)]).unwrap();
    let names: Vec<_> = inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["user", "ngrams"]);
}

#[test]
fn a_missing_doubled_or_misnamed_input_is_refused() {
    assert_eq!(refusal(vec![user(&[1, 3], 3)]), "1 inputs instead of 2");
    assert_eq!(refusal(vec![user(&[1, 3], 3), user(&[1, 3], 3)]), "input ngrams is missing");
}

#[test]
fn the_wrong_element_type_is_refused() {
    let floats = Tensor { name: "ngrams".to_owned(), dims: vec![1, 1], elements: Elements::Float32(vec![0.0]) };
    assert_eq!(refusal(vec![user(&[1, 3], 3), floats]), "input ngrams takes int64, not float32");
}

#[test]
fn dims_that_contradict_the_elements_are_refused() {
    assert_eq!(refusal(vec![user(&[2, 3], 3), ngrams(&[2, 1], 2)]), "input user has 3 elements, its dims say 6");
}

#[test]
fn dims_that_overflow_are_refused() {
    let huge = user(&[u32::MAX, 3], 3);
    assert_eq!(refusal(vec![huge, ngrams(&[1, 1], 1)]), "input user: batch is 4294967295, outside 1 to 4096");
    let many = ngrams(&[4096, 4096], 1);
    assert_eq!(refusal(vec![user(&[4096, 3], 3 * 4096), many]), "input ngrams has more than 4194304 elements");
}

#[test]
fn a_batch_of_two_sizes_is_refused() {
    assert_eq!(refusal(vec![user(&[2, 3], 6), ngrams(&[1, 1], 1)]), "input ngrams: batch is 1 instead of 2");
}

#[test]
fn an_empty_batch_is_refused() {
    assert_eq!(refusal(vec![user(&[0, 3], 0), ngrams(&[0, 1], 0)]), "input user: batch is 0, outside 1 to 4096");
}

#[test]
fn another_rank_is_refused() {
    assert_eq!(refusal(vec![user(&[3], 3), ngrams(&[1, 1], 1)]), "input user has 1 dimensions instead of 2");
}

proptest! {
    #[test]
    fn what_passes_has_as_many_elements_as_its_dims_say(dims in prop::collection::vec(0_u32..6, 0..4), len in 0_usize..40) {
        let checked = signature().check(vec![user(&dims, len), ngrams(&[1, 1], 1)]);
        let product: usize = dims.iter().map(|&dim| dim as usize).product();
        prop_assert_eq!(checked.is_ok(), dims == [1, 3] && product == len);
    }
}
