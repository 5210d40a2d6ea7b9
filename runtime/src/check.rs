//! Checking ops: derivatives against differences, and lanes against a loop.

mod finite;

pub use finite::{first_non_finite, is_finite};

use std::panic::Location;

use crate::array::Array;
use crate::dtype::{DType, dispatch};
use crate::function::{ArgList, Arguments, Function};
use crate::grad::grad;
use crate::ops::gather::gather;
use crate::random::threefry::{Key, Layout, uniform};
use crate::tape::{Kind, Node, Tape};
use crate::tensor::Tensor;
use crate::tree::Tree;

/// Checks the derivatives of `f` at `args` up to `order` (1 or more) against central differences, in one random
/// direction for each order: the first derivative, the derivative of that, and so on.
///
/// `f` may return any tensor of a float or complex type; the arguments should be `f64` or `c128`, at a point
/// where `f` is smooth.
///
/// # Panics
/// If a derivative is off by more than one part in 10⁵.
///
/// ```
/// use axisgrad::{Tensor, check::check_grads};
/// check_grads(|x: &Tensor| x.tanh(), &Tensor::from([0.1, -0.7]), 3);
/// ```
#[track_caller]
pub fn check_grads<X: Arguments, F>(f: F, args: X, order: usize)
where
    F: Function<X::Args, Output = Tensor>,
{
    let args = args.to_args();
    let weights = random_like(&f.call(&args), 1);
    check_order(&|args: &X::Args| real_dot(&f.call(args), &weights), &args, 1, order);
}

#[track_caller]
fn check_order<A: Tree>(f: &dyn Fn(&A) -> Tensor, args: &A, order: usize, last: usize) {
    let mut seed = 10 * order as i64;
    let direction = args.map_leaves(|leaf| {
        seed += 1;
        random_like(leaf, seed)
    });
    let slope = |args: &A| dot_trees(&grad(|args: &A| f(args)).at(args), &direction);
    compare(slope(args).item::<f64>(), difference(f, args, &direction), order);
    if order < last {
        check_order(&slope, args, order + 1, last);
    }
}

#[track_caller]
fn compare(slope: f64, difference: f64, order: usize) {
    let scale = slope.abs().max(difference.abs()).max(1.0);
    assert!(
        (slope - difference).abs() <= 1e-5 * scale,
        "derivative of order {order} is {slope}, and differences give {difference}"
    );
}

/// A fourth-order central difference along `direction`.
fn difference<A: Tree>(f: &dyn Fn(&A) -> Tensor, args: &A, direction: &A) -> f64 {
    const STEP: f64 = 1e-3;
    let at = |t: f64| f(&args.zip_leaves(direction, |_, x, v| x + &(v * t))).item::<f64>();
    (8.0 * (at(STEP) - at(-STEP)) - (at(2.0 * STEP) - at(-2.0 * STEP))) / (12.0 * STEP)
}

/// Re Σ a·b, in `f64`.
fn real_dot(a: &Tensor, b: &Tensor) -> Tensor {
    (a * b).real().cast(DType::F64).sum(())
}

fn dot_trees<A: Tree>(a: &A, b: &A) -> Tensor {
    let pairs = a.leaves().into_iter().zip(b.leaves());
    pairs.map(|(a, b)| real_dot(&a, &b)).reduce(|sum, term| &sum + &term).expect("at least one leaf")
}

/// Numbers between −1 and 1 of the same type and dims; complex ones have both parts.
fn random_like(x: &Tensor, seed: i64) -> Tensor {
    let draw = |seed| {
        let numbers: Vec<f64> =
            uniform(Key::new(seed), Layout::Partitionable, [-1.0, 1.0], x.len(), 0..x.len());
        Tensor::from(Array::from_vec(numbers, x.dims()))
    };
    let real = draw(seed);
    let number = if x.dtype().is_complex() { crate::ops::complex(&real, draw(seed + 1000)) } else { real };
    number.cast(x.dtype())
}

/// Checks that `f` computes the same bits for many examples at once as for one at a time. The examples lie along
/// the first dim of every leaf of `args`.
///
/// # Panics
/// If a result differs in a bit.
#[track_caller]
pub fn check_lanes<X: Arguments, F>(f: F, args: X)
where
    F: Function<X::Args, Output = Tensor>,
{
    let args = args.to_args();
    let together = args.map_args(&mut |_, _, leaf| leaf.unstack("lane", 0));
    let together = f.call(&together);
    let count = args.leaves()[0].dims()[0];
    let together = if together.axes().contains("lane") { gather(&together, "lane") } else { together };
    for lane in 0..count {
        let one = args.map_args(&mut |_, _, leaf| Tensor::from(leaf.to_array().index(0, lane)));
        let alone = f.call(&one).to_array();
        let here = together.to_array().index(0, lane);
        assert!(
            same_bits(&alone, &here),
            "lane {lane} of {count}: alone {alone}, and with the others {here}"
        );
    }
}

/// Whether some op in `f` can sum the cotangent of what it makes of the first argument over examples while it computes
/// it, rather than hold one for each. The examples lie along the first dim of the leaves of the other arguments.
///
/// ```
/// use axisgrad::{Tensor, check::fuses_reduction};
/// let (w, x) = (Tensor::from([[1.0], [2.0]]), Tensor::from([[[3.0, 4.0]], [[5.0, 6.0]]]));
/// assert!(fuses_reduction(|w: &Tensor, x: &Tensor| x.matmul(w), (&w, &x)));
/// ```
pub fn fuses_reduction<X: Arguments, F>(f: F, args: X) -> bool
where
    F: Function<X::Args, Output = Tensor>,
{
    let (tape, site) = (Tape::new(&["example"]), Location::caller());
    let args = args.to_args().map_args(&mut |arg, _, leaf| match arg {
        0 => tape.leaf(leaf, site),
        _ => leaf.unstack("example", 0),
    });
    f.call(&args);
    tape.close();
    let nodes: Vec<Node> = tape.take_nodes();
    let fuses = |node: &Node| match &node.kind {
        Kind::Apply { op, inputs, values } => inputs.iter().enumerate().any(|(wrt, input)| {
            let Some(input) = *input else { return false };
            let Kind::Vary { axes, .. } = &nodes[input].kind else { return false };
            op.vjp_psum(wrt, &node.output, values, axes).is_some()
        }),
        _ => false,
    };
    nodes.iter().any(fuses)
}

/// Whether two arrays hold the same bits (two NaNs are the same here).
pub fn same_bits(a: &Array, b: &Array) -> bool {
    a.dtype() == b.dtype()
        && a.dims() == b.dims()
        && dispatch!(a.dtype() in [stored], T => {
            a.to_vec::<T>().iter().zip(&b.to_vec::<T>()).all(|(a, b)| format!("{a:?}") == format!("{b:?}"))
        })
}
