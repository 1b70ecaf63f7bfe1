//! Properties of the lexical encoding, and the golden ids of version 2.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const LEXICAL: Lexical = Lexical { buckets: 32_768, max_words: 2, max_ids: 512, seed: 42 };

/// Ids of `text` after its shape tokens.
fn grams(text: &str) -> Vec<i64> {
    LEXICAL.ids(text).into_iter().skip(shape::TOKENS).collect()
}

#[test]
fn empty_text_has_shape_tokens_only() {
    assert_eq!(LEXICAL.ids("").len(), shape::TOKENS);
    assert_eq!(grams(" \n\t "), Vec::<i64>::new());
}

#[test]
fn case_and_spacing_do_not_change_words() {
    assert_eq!(grams("Solve THIS now"), grams("solve  this\nnow"));
}

#[test]
fn order_of_words_matters_to_pairs_only() {
    let (ab, ba) = (grams("red blue"), grams("blue red"));
    let shared = ab.iter().filter(|id| ba.contains(id)).count();
    assert_eq!((ab.len(), shared), (4, 2));
}

#[test]
fn amounts_of_equal_size_are_one_word() {
    assert_eq!(grams("48 clips"), grams("17 clips"));
    assert_ne!(grams("48 clips"), grams("480 clips"));
    assert_eq!(grams("10000"), grams("123456789"));
    assert_ne!(grams("4a"), grams("5a"));
}

#[test]
fn runs_of_a_symbol_are_cut_at_three() {
    assert_eq!(grams("-----"), grams("---"));
    assert_ne!(grams("="), grams("=="));
    assert_eq!(grams("({").len(), 4);
}

#[test]
fn ideographs_are_words_of_their_own() {
    assert_eq!(grams("質問です").len(), 8);
    assert_eq!(grams("вопрос Вопрос").len(), 3);
}

#[test]
fn shape_sees_length_digits_and_ending() {
    let shape = |text: &str| shape::tokens(text.len(), text);
    assert_eq!(shape(""), [0, 256, 512, 768, 1024, 1280, 1536]);
    let of_text = shape("Is 12 < 34?\n");
    assert_eq!(of_text, [36, 256 + 1, 512 + 6, 768 + 3, 1024 + 2, 1280, 1536 + u64::from(b'?')]);
}

#[test]
fn text_beyond_the_limits_changes_the_length_only() {
    let long = "word ".repeat(5_000);
    let longer = format!("{long}{}", "other things ".repeat(9_000));
    assert_eq!(grams(&long), grams(&longer));
    assert_ne!(LEXICAL.ids(&long), LEXICAL.ids(&longer));
}

#[test]
fn golden_ids_of_version_2() {
    // Computed by a second implementation, written from the module docs alone.
    let golden: [(&str, &[i64]); 4] = [
        ("", &[1, 257, 271, 280, 289, 298, 307]),
        (
            "How many apples are left?",
            &[
                45, 257, 271, 281, 290, 298, 370, 30826, 8069, 1978, 4662, 14995, 12053, 4023, 12622, 8845, 32329,
                10385, 28605,
            ],
        ),
        (
            "def f(x):\n    return x == 2048",
            &[
                48, 258, 274, 283, 289, 298, 308, 11249, 31061, 31291, 13752, 11561, 11996, 30889, 32558, 4364, 27667,
                15327, 28140, 30346, 19751, 22033, 20098, 32540, 7193, 7274,
            ],
        ),
        (
            "Größe der 東京 42 €!",
            &[
                46, 257, 273, 281, 290, 306, 340, 14219, 24945, 24260, 28816, 27699, 9198, 32674, 12391, 6202, 10199,
                5744, 7913, 2310, 31305,
            ],
        ),
    ];
    for (text, ids) in golden {
        assert_eq!(LEXICAL.ids(text), ids, "{text:?}");
    }
}

proptest! {
    #[test]
    fn ids_are_in_range_unique_and_bounded(
        text in any::<String>(),
        buckets in 0_u32..5_000,
        max_words in 0_u8..5,
        max_ids in 0_u32..100,
        seed in any::<u64>(),
    ) {
        let lexical = Lexical { buckets, max_words, max_ids, seed };
        let ids = lexical.ids(&text);
        prop_assert!(ids.iter().all(|id| (1..=i64::from(buckets)).contains(id)));
        prop_assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        prop_assert!(ids.len() <= max_ids as usize);
        prop_assert_eq!(&ids, &lexical.ids(&text));
    }

    #[test]
    fn a_smaller_limit_cuts_the_end(text in any::<String>(), max_ids in 0_u32..40) {
        let all = LEXICAL.ids(&text);
        let cut = Lexical { max_ids, ..LEXICAL }.ids(&text);
        prop_assert_eq!(&cut[..], &all[..all.len().min(max_ids as usize)]);
    }

    #[test]
    fn long_texts_stay_bounded(word in "[a-zA-Zéß東.0-9]{1,9}", times in 1_usize..3_000) {
        let ids = LEXICAL.ids(&format!("{word} ").repeat(times));
        prop_assert!(ids.len() <= shape::TOKENS + 2 * MAX_WORDS);
    }
}
