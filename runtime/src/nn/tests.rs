//! Layers against their formulas, and against the law.

use super::*;
use crate::ops::{pmean, psum};
use crate::random::{Key, normal};
use crate::{DType, Tensor, Tree, grad};

fn input(dims: &[usize]) -> Tensor {
    normal(Key::new(9), DType::F32, dims)
}

/// The gradient of a layer's output, totalled over an axis of examples, is that of the examples one by one.
#[track_caller]
fn totals<M: Tree>(model: &M, xs: &Tensor, apply: impl Fn(&M, &Tensor) -> Tensor) {
    let loss = |model: &M, x: &Tensor| apply(model, x).sin().sum(());
    let total = grad(|model: &M, x: &Tensor| psum(&loss(model, x), "batch"))
        .reduce_axes(["batch"])
        .at((model, &xs.unstack("batch", 0)));
    let each = |i: usize| grad(&loss).at((model, &xs.index(0, i as isize)));
    let sum = (1..xs.dims()[0]).fold(each(0), |sum, i| sum.zip_leaves(&each(i), |_, a, b| a + b));
    total.zip_leaves(&sum, |path, a, b| {
        // The gradient of a key's bias is zero but for rounding.
        let off = (a - b).norm(()).item::<f32>() / (0.1 + b.norm(()).item::<f32>());
        assert!(off < 1e-4, "{path}: {off}");
        a.clone()
    });
}

#[test]
fn totals_are_sums_of_examples() {
    let key = Key::new(1);
    totals(&LayerNorm::init(6), &input(&[5, 3, 6]), LayerNorm::apply);
    totals(&RmsNorm::init(6), &input(&[5, 3, 6]), RmsNorm::apply);
    totals(&Conv2d::init(key, 2, 3, 3).stride(2).padding(1), &input(&[5, 2, 6, 6]), Conv2d::apply);
    totals(&MultiHeadAttention::init(key, 8, 2).causal(), &input(&[5, 4, 8]), MultiHeadAttention::apply);
    let block = TransformerBlock::init(key, 8, 2).causal();
    totals(&block, &input(&[5, 4, 8]), |block, x| block.apply(x, None));
}

#[test]
fn a_causal_block_sees_nothing_that_comes_later() {
    let block = TransformerBlock::init(Key::new(1), 8, 2).causal();
    let x = input(&[6, 8]);
    let (all, first) = (block.apply(&x, None), block.apply(&x.slice(0, ..4), None));
    let off = (all.slice(0, ..4) - first).norm(()).item::<f32>();
    assert!(off < 1e-5, "{off}");
}

#[test]
fn dropout_is_for_training() {
    let block = TransformerBlock::init(Key::new(1), 8, 2).dropout(0.5);
    let x = input(&[6, 8]);
    let bits = |key| block.apply(&x, key).to_vec::<f32>();
    assert_eq!(bits(None), bits(None));
    assert_eq!(bits(Some(Key::new(3))), bits(Some(Key::new(3))));
    assert_ne!(bits(Some(Key::new(3))), bits(Some(Key::new(4))));
    assert_ne!(bits(Some(Key::new(3))), bits(None));
}

#[test]
fn rows_of_a_table_get_the_cotangents_of_their_places() {
    let table = Embedding::init(Key::new(1), 4, 2);
    let ids = Tensor::from([[1, 1, 3], [0, 1, 3]]).unstack("batch", 0);
    let loss = |table: &Embedding, ids: &Tensor| pmean(&table.apply(ids).sum(()), "batch");
    let slope = grad(loss).reduce_axes(["batch"]).at((&table, &ids));
    assert_eq!(slope.table.to_vec::<f32>(), [0.5, 0.5, 1.5, 1.5, 0.0, 0.0, 1.0, 1.0]);
}

#[test]
#[should_panic(expected = "attention: 3 heads do not divide width 8")]
fn heads_divide() {
    MultiHeadAttention::init(Key::new(0), 8, 3);
}
