//! Against the streams that JAX draws, in both layouts, whole and in parts.

use std::fmt::Debug;
use std::ops::Range;

use serde_json::Value;

use super::*;

fn streams() -> Vec<(Key, Layout, Value)> {
    let file: Value = serde_json::from_str(include_str!("../../../../tests/golden/threefry.json")).unwrap();
    let stream = |s: &Value| {
        let layout = if s["partitionable"] == true { Layout::Partitionable } else { Layout::Paired };
        (Key::new(s["seed"].as_i64().unwrap()), layout, s.clone())
    };
    let streams: Vec<_> = file["streams"].as_array().unwrap().iter().map(stream).collect();
    assert_eq!(streams.len(), 12);
    streams
}

/// The draws in one piece, after checking that any cut into two gives the same.
fn whole<T: PartialEq + Debug>(total: usize, draw: impl Fn(Range<usize>) -> Vec<T>) -> Vec<T> {
    let all = draw(0..total);
    for cut in 0..=total {
        let parts: Vec<T> = draw(0..cut).into_iter().chain(draw(cut..total)).collect();
        assert_eq!(parts, all, "cut at {cut}");
    }
    all
}

fn pairs(value: &Value) -> Vec<Key> {
    match value[0].is_u64() {
        true => vec![Key(serde_json::from_value(value.clone()).unwrap())],
        false => value.as_array().unwrap().iter().flat_map(pairs).collect(),
    }
}

#[track_caller]
fn exact(stream: &Value, name: &str, ours: impl Into<Value>) {
    assert_eq!(ours.into(), stream[name], "{name} of seed {}", stream["seed"]);
}

#[track_caller]
fn close(stream: &Value, name: &str, tolerance: f64, ours: impl IntoIterator<Item = f64>) {
    let theirs: Vec<f64> = serde_json::from_value(stream[name].clone()).unwrap();
    let ours: Vec<f64> = ours.into_iter().collect();
    assert_eq!(ours.len(), theirs.len(), "{name}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let error = (ours - theirs).abs();
        assert!(error <= tolerance * theirs.abs(), "{name} of seed {}: {ours} {theirs}", stream["seed"]);
    }
}

#[test]
fn block_matches_the_published_vectors() {
    let file: Value = serde_json::from_str(include_str!("../../../../tests/golden/threefry.json")).unwrap();
    for vector in file["block"].as_array().unwrap() {
        let [key, counter, out] =
            ["key", "counter", "out"].map(|name| serde_json::from_value(vector[name].clone()).unwrap());
        assert_eq!(block(Key(key), counter), out);
    }
    assert_eq!(file["block"].as_array().unwrap().len(), 3);
}

#[test]
fn words_drawn_together_are_those_drawn_alone() {
    let key = Key::new(5);
    for (first, len) in [(0, 1), (7, 45), ((1 << 32) - 20, 41), ((1 << 32) + 3, 64)] {
        let alone = (first..first + len).map(|i| block(key, [(i >> 32) as u32, i as u32]));
        let words = u32::draw(key, Layout::Partitionable, 0, first..first + len);
        assert!(words.into_iter().eq(alone.map(|[a, b]| a ^ b)), "{len} words from {first} on");
    }
}

#[test]
fn keys() {
    for (key, layout, stream) in streams() {
        assert_eq!(vec![key], pairs(&stream["key"]));
        assert_eq!(key.split_in(layout, 2), pairs(&stream["split2"]));
        assert_eq!(key.split_in(layout, 5), pairs(&stream["split5"]));
        assert_eq!(key.split_in(layout, 6), pairs(&stream["split_2x3"]));
        for (data, folded) in stream["fold_in"].as_object().unwrap() {
            assert_eq!(vec![key.fold_in(data.parse().unwrap())], pairs(folded));
        }
    }
}

#[test]
fn bits() {
    for (key, layout, stream) in streams() {
        for n in [1, 2, 3, 5, 8] {
            exact(&stream, &format!("bits32_n{n}"), whole(n, |r| u32::draw(key, layout, n, r)));
            exact(&stream, &format!("bits64_n{n}"), whole(n, |r| u64::draw(key, layout, n, r)));
        }
        exact(&stream, "bits16_n5", whole(5, |r| u16::draw(key, layout, 5, r)));
        exact(&stream, "bits8_n5", whole(5, |r| u8::draw(key, layout, 5, r)));
        exact(&stream, "bits32_shape_2x3", whole(6, |r| u32::draw(key, layout, 6, r)));
    }
}

#[test]
fn exact_distributions() {
    for (key, layout, stream) in streams() {
        let unit = whole(5, |r| uniform::<f32>(key, layout, [0.0, 1.0], 5, r));
        close(&stream, "uniform_f32_n5", 0.0, unit.into_iter().map(f64::from));
        close(&stream, "uniform_f64_n5", 0.0, whole(5, |r| uniform::<f64>(key, layout, [0.0, 1.0], 5, r)));
        exact(&stream, "bernoulli_p0.3_n8", whole(8, |r| bernoulli(key, layout, 0.3, 8, r)));
        exact(&stream, "randint_0_10_i32_n8", whole(8, |r| randint::<i32>(key, layout, [0, 10], 8, r)));
        let wide = whole(4, |r| randint::<i64>(key, layout, [-5, 1_000_003], 4, r));
        exact(&stream, "randint_-5_1000003_i64_n4", wide);
        exact(&stream, "permutation_1", permutation(key, layout, 1));
        exact(&stream, "permutation_8", permutation(key, layout, 8));
        exact(&stream, "permutation_3000_first8", permutation(key, layout, 3000)[..8].to_vec());
        let classes = whole(6, |r| categorical(key, layout, &[0.0, 1.0, 2.0], 6, r));
        exact(&stream, "categorical_logits_0_1_2_n6", classes);
    }
}

#[test]
fn computed_distributions() {
    const ULPS: f64 = 4.0 * f32::EPSILON as f64;
    for (key, layout, stream) in streams() {
        let scaled = whole(5, |r| uniform::<f64>(key, layout, [-2.0, 3.0], 5, r));
        close(&stream, "uniform_f64_min-2_max3_n5", 1e-13, scaled);
        let short = whole(5, |r| normal::<f32>(key, layout, 5, r));
        close(&stream, "normal_f32_n5", ULPS, short.into_iter().map(f64::from));
        close(&stream, "normal_f64_n5", 1e-13, whole(5, |r| normal::<f64>(key, layout, 5, r)));
        close(&stream, "exponential_f64_n3", 1e-13, whole(3, |r| exponential::<f64>(key, layout, 3, r)));
        close(&stream, "gumbel_f64_n3", 1e-13, whole(3, |r| gumbel::<f64>(key, layout, 3, r)));
        let truncated = whole(3, |r| truncated_normal::<f64>(key, layout, [-1.0, 2.0], 3, r));
        close(&stream, "truncated_normal_-1_2_f64_n3", 1e-13, truncated);
    }
}

#[test]
fn every_vector_of_the_file_is_tested() {
    let tested = include_str!("tests.rs");
    for (_, _, stream) in streams() {
        for name in stream.as_object().unwrap().keys().filter(|name| !name.starts_with("bits")) {
            assert!(tested.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}

#[test]
fn an_empty_interval_gives_its_lower_end_and_no_elements_give_none() {
    let key = Key::new(3);
    assert_eq!(randint::<i32>(key, Layout::Partitionable, [7, 7], 2, 0..2), [7, 7]);
    assert_eq!(randint::<i64>(key, Layout::Partitionable, [i64::MIN, i64::MAX], 1, 0..1).len(), 1);
    assert!(uniform::<f32>(key, Layout::Paired, [0.0, 1.0], 0, 0..0).is_empty());
    assert!(permutation(key, Layout::Partitionable, 0).is_empty());
}
