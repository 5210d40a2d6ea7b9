//! Against the definition in `f64`, and to the bit against other company.

use super::super::conv::Convolution;
use super::super::map::{cast, map1};
use super::*;
use crate::array::Array;
use crate::dtype::DType;

fn rough(dims: &[usize], seed: usize) -> Array {
    let value = |i: usize| ((i * 7919 + seed * 31) % 2003) as f32 / 1001.5 - 1.0;
    Array::from_vec((0..dims.iter().product()).map(value).collect(), dims)
}

fn side_by_side(sizes: [usize; 2], groups: usize) -> Convolution {
    let windows = vec![Window { size: 3, stride: 1, dilation: 1 }; 2];
    Convolution { sizes: sizes.into_iter().collect(), windows, groups }
}

/// Examples, sizes, groups, and channels of a group in and out: whole tiles and parts, one and many strips.
const CASES: [(usize, [usize; 2], usize, [usize; 2]); 5] = [
    (2, [6, 6], 1, [16, 24]),
    (3, [9, 14], 2, [17, 19]),
    (1, [26, 26], 1, [32, 64]),
    (2, [16, 150], 1, [33, 16]),
    (7, [10, 18], 1, [16, 16]),
];

/// `x`, kernel and cotangent, the kernel for every example.
fn operands(case: usize) -> (Convolution, [Array; 3]) {
    let (examples, [height, width], groups, [channels, out]) = CASES[case];
    let of = side_by_side([height, width], groups);
    assert!(Winograd::new(&of.sizes, &of.windows, [channels, out]).is_some());
    let kernel =
        rough(&[1, groups * out, channels, 3, 3], 2).broadcast_to(&[examples, groups * out, channels, 3, 3]);
    let x = rough(&[examples, groups * channels, height, width], 1);
    (of, [x, kernel, rough(&[examples, groups * out, height - 2, width - 2], 3)])
}

/// The definition in `f64`, which goes the direct way.
fn near(got: &Array, exact: impl Fn(&dyn Fn(&Array) -> Array) -> Array) {
    let wide = |a: &Array| cast(a, DType::F64);
    let size = |a: &Array| map1(&wide(a), |x: f64| x.abs());
    let (expected, sizes) = (exact(&wide).to_vec::<f64>(), exact(&size).to_vec::<f64>());
    assert_eq!(got.len(), expected.len());
    // A place at the border is the sum of few terms, and has the error of its whole tile.
    let size = sizes.into_iter().fold(0.0, f64::max);
    for (x, exact) in got.to_vec::<f32>().into_iter().zip(expected) {
        // Several times the largest error of direct sums in `f32`, 3e-7 of the sizes.
        assert!((f64::from(x) - exact).abs() <= 2e-6 * size, "{x} is not {exact}, of terms of {size}");
    }
}

#[test]
fn the_definition_and_both_transposes() {
    for (case, &(examples, ..)) in CASES.iter().enumerate() {
        let (of, [x, kernel, ct]) = operands(case);
        near(&of.apply(&x, &kernel, 1), |to| of.apply(&to(&x), &to(&kernel), 1));
        near(&of.pull(&ct, &kernel, 1), |to| of.pull(&to(&ct), &to(&kernel), 1));
        let whole = 0..examples;
        let all = std::slice::from_ref(&whole);
        near(&of.weigh(&x, &ct, 0, all)[0], |to| of.weigh(&to(&x), &to(&ct), 0, all).remove(0));
    }
}

#[test]
fn an_example_has_the_same_bits_alone() {
    for (case, &(examples, ..)) in CASES.iter().enumerate() {
        let (of, [x, kernel, ct]) = operands(case);
        let one = |a: &Array, i| a.slice(0, i, i + 1, 1);
        let (y, dx) = (of.apply(&x, &kernel, 1), of.pull(&ct, &kernel, 1));
        let each =
            of.weigh(&x.expand_dims(1), &ct.expand_dims(1), 1, std::slice::from_ref(&(0..1))).remove(0);
        for i in 0..examples {
            let (x, kernel, ct) = (one(&x, i), one(&kernel, i), one(&ct, i));
            assert!(of.apply(&x, &kernel, 1).to_vec::<f32>() == one(&y, i).to_vec::<f32>());
            assert!(of.pull(&ct, &kernel, 1).to_vec::<f32>() == one(&dx, i).to_vec::<f32>());
            let alone = of.weigh(&x, &ct, 0, std::slice::from_ref(&(0..1))).remove(0);
            assert!(alone.to_vec::<f32>() == one(&each, i).to_vec::<f32>());
        }
    }
}

#[test]
fn a_range_has_the_same_bits_alone() {
    let (of, [x, _, ct]) = operands(4);
    let sums = of.weigh(&x, &ct, 0, &[0..2, 2..7]);
    for (sum, range) in sums.iter().zip([0..2, 2..7]) {
        let [x, ct] = [&x, &ct].map(|a| a.slice(0, range.start, range.end, 1));
        let alone = of.weigh(&x, &ct, 0, std::slice::from_ref(&(0..range.len()))).remove(0);
        assert!(alone.to_vec::<f32>() == sum.to_vec::<f32>());
    }
    let nothing = of.weigh(&x, &ct, 0, std::slice::from_ref(&(3..3))).remove(0);
    assert_eq!(nothing.to_vec::<f32>(), [0.0; 16 * 16 * 9]);
}

#[test]
fn both_are_transposes_to_rounding() {
    for (case, &(examples, ..)) in CASES.iter().enumerate() {
        let (of, [x, kernel, ct]) = operands(case);
        let dot = |a: &Array, b: &Array| -> f64 {
            assert_eq!(a.dims(), b.dims());
            a.to_vec::<f32>().iter().zip(b.to_vec::<f32>()).map(|(&a, b)| f64::from(a) * f64::from(b)).sum()
        };
        let y = of.apply(&x, &kernel, 1);
        let size = dot(&y, &y).sqrt() * dot(&ct, &ct).sqrt();
        let all = of.weigh(&x, &ct, 0, std::slice::from_ref(&(0..examples))).remove(0);
        for other in [dot(&x, &of.pull(&ct, &kernel, 1)), dot(&kernel.index(0, 0), &all)] {
            assert!((dot(&y, &ct) - other).abs() < 1e-6 * size, "{} and {other}", dot(&y, &ct));
        }
    }
}

#[test]
fn kernels_of_their_own() {
    let (of, [x, _, ct]) = operands(4);
    let kernels = rough(&[7, 16, 16, 3, 3], 4);
    near(&of.apply(&x, &kernels, 1), |to| of.apply(&to(&x), &to(&kernels), 1));
    near(&of.pull(&ct, &kernels, 1), |to| of.pull(&to(&ct), &to(&kernels), 1));
}

#[test]
fn only_where_it_pays() {
    let pays = |sizes, channels| {
        let of = side_by_side(sizes, 1);
        Winograd::new(&of.sizes, &of.windows, channels).is_some()
    };
    assert!(pays([26, 26], [32, 64]) && pays([6, 6], [16, 16]));
    assert!(!pays([26, 26], [1, 32]) && !pays([26, 26], [32, 10]));
    assert!(!pays([2, 30], [32, 32]) && !pays([3, 3], [32, 32]) && !pays([7, 7], [32, 32]));
    let spread = vec![Window { size: 3, stride: 2, dilation: 1 }; 2];
    assert!(Winograd::new(&[26, 26], &spread, [32, 32]).is_none());
}
