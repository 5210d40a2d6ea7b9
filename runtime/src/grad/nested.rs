//! Gradients inside gradients.

use std::panic::Location;

use crate::ops::pvary::pvary_over;
use crate::tensor::Tensor;
use crate::tree::{Path, Tree};
use crate::types::{Axis, AxisSet};

/// The arguments of a function whose gradients are reduced over `names`, inside another function. Where gradients of that
/// one are not reduced over such an axis, its arguments and what is made of them count as one value for each position;
/// so they vary here, in fact, and a gradient by them is one for each position too.
pub(super) fn as_counted<'n, Args: Tree>(
    args: &Args,
    names: impl Iterator<Item = &'n str>,
    site: &'static Location<'static>,
) -> Args {
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return args.clone();
    }
    let axes = axes_of(args).filter(|axis| names.contains(&axis.name()));
    args.map_leaves(|leaf| pvary_over(leaf, &axes.filter(|axis| counts_per_position(leaf, axis)), site))
}

/// All axes that leaves vary over.
fn axes_of(args: &impl Tree) -> AxisSet {
    let mut axes = AxisSet::new();
    args.visit(&Path::ROOT, &mut |_, leaf| axes = axes.union(leaf.axes()).unwrap_or_else(|_| axes.clone()));
    axes
}

/// Whether some function that `x` is part of differentiates by it at each position of the axis.
fn counts_per_position(x: &Tensor, axis: &Axis) -> bool {
    let mut level = x;
    while let Some(tape) = level.tape() {
        let (node, below) = level.on(tape).expect("on its own tape");
        if !tape.reduces(axis) && !tape.settled(node).contains(axis.name()) {
            return true;
        }
        level = below;
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::ops::{gather, psum, pvary};
    use crate::{Tensor, grad};

    fn numbers() -> (Tensor, Tensor) {
        (Tensor::from([0.3, -0.8]), Tensor::from([[1.0, 2.0], [0.5, -1.0], [2.0, 0.1]]).unstack("batch", 0))
    }

    fn loss(w: &Tensor, x: &Tensor) -> Tensor {
        (w * x).sum(()).sin()
    }

    /// The square of the gradient, reduced over the axis inside.
    fn penalty(w: &Tensor, x: &Tensor) -> Tensor {
        grad(loss).reduce_axes(["batch"]).at((w, x)).square().sum(())
    }

    #[test]
    fn a_copy_for_each_position_has_a_gradient_of_its_own() {
        let (w, x) = numbers();
        let each = grad(penalty).at((&w, &x));
        let own = |w: &Tensor, x: &Tensor| grad(loss).at((w, x)).square().sum(());
        let copies = pvary(&w, x.axis("batch"));
        let expected = grad(own).at((&copies, &x));
        assert_eq!(gather(&each, "batch").to_vec::<f64>(), gather(&expected, "batch").to_vec::<f64>());
    }

    #[test]
    fn one_value_has_one_gradient() {
        let (w, x) = numbers();
        let total = grad(penalty).reduce_axes(["batch"]).at((&w, &x));
        let written = |w: &Tensor| {
            let sum = |w: &Tensor| psum(&loss(w, &x), "batch");
            grad(sum).reduce_axes(["batch"]).at(w).square().sum(())
        };
        let expected = grad(written).reduce_axes(["batch"]).at(&w);
        let pairs = total.to_vec::<f64>().into_iter().zip(expected.to_vec::<f64>());
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-14, "{a} and {b}"));
    }
}
