//! `affine`: a product with a weight, and a bias, in one.

use std::panic::Location;

use smallvec::smallvec;

use super::dot::DotGeneral;
use super::reduce::sum_dims;
use crate::array::kernels::{self, DotDims};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::{FusedSum, Op};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// `x·weight + bias`: `T[..,k], T[k,n], T[n] -> T[..,n]`. The bias is added in place, and the product by itself is not
/// kept for backward.
///
/// # Panics
/// If the dims do not fit, or the elements are bool.
///
/// ```
/// use axisgrad::{Tensor, ops::affine};
/// let (weight, bias) = (Tensor::from([[1.0, 2.0], [3.0, 4.0]]), Tensor::from([0.5, 0.0]));
/// assert_eq!(affine(&Tensor::from([1.0, 1.0]), &weight, &bias).to_vec::<f64>(), [4.5, 6.0]);
/// ```
#[track_caller]
pub fn affine(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    let [inputs, outputs] = weight.dims()[..] else { return x.matmul(weight) + bias };
    let fits = x.dims().last() == Some(&inputs) && bias.dims() == [outputs];
    let alike = [weight, bias].iter().all(|part| part.dtype() == x.dtype()) && x.dtype().is_inexact();
    if !fits || !alike {
        return x.matmul(weight) + bias;
    }
    let dims = DotDims { batch: smallvec![], contract: smallvec![(x.ndim() - 1, 0)] };
    bind(Affine { dot: DotGeneral { dims, site: Location::caller() } }, &[x, weight, bias])
}

/// See [`affine`].
struct Affine {
    dot: DotGeneral,
}

impl Op for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        self.dot.infer(&inputs[..2])
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let product = self.dot.eval(&inputs[..2], axes);
        let bias =
            (inputs[2].ndim()..product.ndim()).fold(inputs[2].clone(), |b, _| b.expand_dims(axes.len()));
        kernels::add_bias(product, &bias)
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        if wrt == 2 {
            return Some(sum_dims(ct, &(0..ct.ndim() - 1).collect::<Vec<_>>()));
        }
        self.dot.vjp(wrt, ct, &inputs[..2], output)
    }

    fn vjp_psum(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], axes: &AxisSet) -> Option<FusedSum> {
        if wrt == 2 { None } else { self.dot.vjp_psum(wrt, ct, &inputs[..2], axes) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes, same_bits};

    #[test]
    fn it_is_a_product_and_a_sum() {
        let (weight, bias) = (waves(&[3, 4], 0.3), waves(&[4], 0.9));
        for dims in [&[3][..], &[5, 3], &[2, 0, 3], &[2, 5, 3]] {
            let x = waves(dims, 0.2);
            let apart = x.matmul(&weight) + &bias;
            assert!(same_bits(&affine(&x, &weight, &bias).to_array(), &apart.to_array()));
        }
        let promoted = affine(&waves(&[5, 3], 0.2).cast(DType::F32), &weight, &bias);
        assert_eq!(promoted.dtype(), DType::F64);
    }

    #[test]
    fn derivatives_and_lanes() {
        let (x, weight, bias) = (waves(&[2, 3], 0.2), waves(&[3, 4], 0.3), waves(&[4], 0.9));
        let f = |x: &Tensor, weight: &Tensor, bias: &Tensor| affine(x, weight, bias).sin();
        check_grads(f, (&x, &weight, &bias), 2);
        check_grads(f, (&x.index(0, 0), &weight, &bias), 2);
        let (xs, weights, biases) = (waves(&[5, 2, 3], 0.2), waves(&[5, 3, 4], 0.3), waves(&[5, 4], 0.9));
        check_lanes(f, (&xs, &weights, &biases));
        check_lanes(|x: &Tensor| affine(x, &weight, &bias), &xs);
        check_lanes(|bias: &Tensor| affine(&x, &weight, bias), &biases);
    }

    #[test]
    #[should_panic(expected = "matmul: inner dims differ: 2 and 3")]
    fn dims_fit() {
        affine(&waves(&[2], 0.0), &waves(&[3, 4], 0.0), &waves(&[4], 0.0));
    }
}
