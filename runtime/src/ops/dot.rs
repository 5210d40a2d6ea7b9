//! `dot_general`: the contraction that products of vectors, matrices and stacks of them are made of.

use std::panic::Location;
use std::rc::Rc;

use super::cast;
use super::dot_sum::DotSum;
use super::permute::{inverse, permuted};
use crate::array::kernels::{self, DotDims, Pairs};
use crate::array::{Array, Dims};
use crate::bind::bind_at;
use crate::dtype::{DType, promote};
use crate::error::violation;
use crate::listed::Listed;
use crate::op::{FusedSum, Op};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

type Site = &'static Location<'static>;

/// The sum of products over pairs of dims: `contract` names pairs (dim of `x`, dim of `y`) that are summed over,
/// `batch` pairs that stay and run together. Operands of two dtypes are promoted.
///
/// `T[b,m,k], T[b,k,n] -> T[b,m,n]` for `contract` `[(2, 1)]` and `batch` `[(0, 0)]`; the result has the batch dims,
/// then the other dims of `x`, then those of `y`.
///
/// # Panics
/// If there is no such dim, one is named twice, the two of a pair differ in size, or the operands are bool.
#[track_caller]
pub fn dot_general(x: &Tensor, y: &Tensor, contract: &[(isize, isize)], batch: &[(isize, isize)]) -> Tensor {
    let dims = DotDims { batch: named_pairs(x, y, batch), contract: named_pairs(x, y, contract) };
    for side in [Side::Left, Side::Right] {
        let named = side.named(&dims);
        if (1..named.len()).any(|i| named[..i].contains(&named[i])) {
            violation("dot_general", "a dim is named twice", &[x, y], Location::caller());
        }
    }
    contraction(x, y, dims, Location::caller())
}

#[track_caller]
fn named_pairs(x: &Tensor, y: &Tensor, pairs: &[(isize, isize)]) -> Pairs {
    let mut named = Pairs::new();
    for &(a, b) in pairs {
        named.push((x.dim_index("dot_general", a), y.dim_index("dot_general", b)));
    }
    named
}

/// [`dot_general`] over dims that are there, after promotion.
pub(crate) fn contraction(x: &Tensor, y: &Tensor, dims: DotDims, site: Site) -> Tensor {
    let dtype = promote(x.dtype(), y.dtype());
    bind_at(Rc::new(DotGeneral { dims, site }), &[&cast(x, dtype), &cast(y, dtype)], site)
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

impl Side {
    fn of(self, pair: &(usize, usize)) -> usize {
        match self {
            Side::Left => pair.0,
            Side::Right => pair.1,
        }
    }

    /// The dims of this side that are paired: batch dims, then contracted ones.
    fn named(self, dims: &DotDims) -> Dims {
        dims.batch.iter().chain(&dims.contract).map(|pair| self.of(pair)).listed()
    }

    fn free(self, dims: &DotDims, ndim: usize) -> Dims {
        let named = self.named(dims);
        (0..ndim).filter(|dim| !named.contains(dim)).listed()
    }
}

/// See [`dot_general`].
pub(super) struct DotGeneral {
    pub dims: DotDims,
    pub site: Site,
}

impl Op for DotGeneral {
    fn name(&self) -> &'static str {
        "dot_general"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let (x, y) = (inputs[0], inputs[1]);
        if x.dtype.is_bool() || x.dtype == DType::Float0 {
            return Err(format!("there is no product of {} operands; cast them first", x.dtype));
        }
        for (kind, pairs) in [("batch", &self.dims.batch), ("contracted", &self.dims.contract)] {
            if let Some(&(a, b)) = pairs.iter().find(|&&(a, b)| x.dims[a] != y.dims[b]) {
                return Err(format!("{kind} dims {a} and {b} differ: {} and {}", x.dims[a], y.dims[b]));
            }
        }
        Ok((x.dtype, self.result(&x.dims, &y.dims)))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        kernels::dot(&inputs[0], &inputs[1], &with_lanes(&self.dims, 0..axes.len()))
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let Transposed { dims, order } = self.transposed(wrt, inputs);
        let [x, y] = operands(wrt, ct, inputs);
        Some(permuted(&contraction(x, y, dims, self.site), order))
    }

    fn vjp_psum(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], axes: &AxisSet) -> Option<FusedSum> {
        let Transposed { dims, order } = self.transposed(wrt, inputs);
        let op = DotSum { dot: DotGeneral { dims, site: self.site }, order, axes: axes.clone() };
        Some(FusedSum { op: Rc::new(op), inputs: operands(wrt, ct, inputs).map(Clone::clone).into() })
    }
}

/// The contraction that gives a cotangent, and the order that its dims are to be brought in.
struct Transposed {
    dims: DotDims,
    order: Dims,
}

/// What is contracted for the cotangent of `wrt`: in this order weights come out with their own order of dims.
fn operands<'a>(wrt: usize, ct: &'a Tensor, inputs: &'a [Tensor]) -> [&'a Tensor; 2] {
    if wrt == 0 { [ct, &inputs[1]] } else { [&inputs[0], ct] }
}

impl DotGeneral {
    /// The dims of the result: batch dims, and those of each side that are not paired.
    pub fn result(&self, x: &[usize], y: &[usize]) -> Dims {
        let batch = self.dims.batch.iter().map(|&(a, _)| x[a]);
        let left = Side::Left.free(&self.dims, x.len()).into_iter().map(|dim| x[dim]);
        let right = Side::Right.free(&self.dims, y.len()).into_iter().map(|dim| y[dim]);
        batch.chain(left).chain(right).listed()
    }

    fn transposed(&self, wrt: usize, inputs: &[Tensor]) -> Transposed {
        let (x, y) = (inputs[0].ndim(), inputs[1].ndim());
        if wrt == 0 { self.left(x, y) } else { self.right(x, y) }
    }

    /// `ct[b,m,n], y[b,k,n] -> x[b,m,k]`.
    fn left(&self, x: usize, y: usize) -> Transposed {
        let (batch, m) = (self.dims.batch.len(), Side::Left.free(&self.dims, x));
        let n = Side::Right.free(&self.dims, y);
        let dims = DotDims {
            batch: self.dims.batch.iter().enumerate().map(|(i, &(_, b))| (i, b)).listed(),
            contract: n.iter().enumerate().map(|(i, &dim)| (batch + m.len() + i, dim)).listed(),
        };
        let mut k = self.dims.contract.clone();
        k.sort_unstable_by_key(|&(_, b)| b);
        let batch = self.dims.batch.iter().map(|&(a, _)| a);
        let source: Dims = batch.chain(m).chain(k.iter().map(|&(a, _)| a)).listed();
        Transposed { dims, order: inverse(&source) }
    }

    /// `x[b,m,k], ct[b,m,n] -> y[b,k,n]`.
    fn right(&self, x: usize, y: usize) -> Transposed {
        let (batch, m) = (self.dims.batch.len(), Side::Left.free(&self.dims, x));
        let n = Side::Right.free(&self.dims, y);
        let dims = DotDims {
            batch: self.dims.batch.iter().enumerate().map(|(i, &(a, _))| (a, i)).listed(),
            contract: m.iter().enumerate().map(|(i, &dim)| (dim, batch + i)).listed(),
        };
        let mut k = self.dims.contract.clone();
        k.sort_unstable();
        let batch = self.dims.batch.iter().map(|&(_, b)| b);
        let source: Dims = batch.chain(k.iter().map(|&(_, b)| b)).chain(n).listed();
        Transposed { dims, order: inverse(&source) }
    }
}

/// The same contraction of operands with lane dims in front: `lanes` of them run together.
pub(super) fn with_lanes(dims: &DotDims, lanes: std::ops::Range<usize>) -> DotDims {
    let n = lanes.end;
    let shifted =
        |pairs: &[(usize, usize)]| pairs.iter().map(|&(a, b)| (a + n, b + n)).listed::<[(usize, usize); 2]>();
    let batch = lanes.map(|lane| (lane, lane)).chain(shifted(&dims.batch)).listed();
    DotDims { batch, contract: shifted(&dims.contract) }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad;

    /// `x[b,k,m,l], y[l,n,b,k] -> [b,m,n]`, one product at a time.
    fn naive(x: &Tensor, y: &Tensor) -> Vec<f64> {
        let (xs, ys) = (x.to_vec::<f64>(), y.to_vec::<f64>());
        let ([b, k, m, l], [_, n, ..]) =
            (<[usize; 4]>::try_from(x.dims()).unwrap(), <[usize; 4]>::try_from(y.dims()).unwrap());
        let mut out = vec![0.0; b * m * n];
        for (at, out) in out.iter_mut().enumerate() {
            let (bi, mi, ni) = (at / (m * n), at / n % m, at % n);
            for (ki, li) in (0..k).flat_map(|ki| (0..l).map(move |li| (ki, li))) {
                *out += xs[((bi * k + ki) * m + mi) * l + li] * ys[((li * n + ni) * b + bi) * k + ki];
            }
        }
        out
    }

    fn both(x: &Tensor, y: &Tensor) -> Tensor {
        dot_general(x, y, &[(-1, 0), (1, 3)], &[(0, 2)])
    }

    #[test]
    fn it_is_the_sum_of_products() {
        let (x, y) = (waves(&[2, 3, 4, 5], 0.1), waves(&[5, 3, 2, 3], 0.7));
        let z = both(&x, &y);
        assert_eq!(z.dims(), [2, 4, 3]);
        for (a, b) in z.to_vec::<f64>().iter().zip(naive(&x, &y)) {
            assert!((a - b).abs() < 1e-12);
        }
        assert_eq!(dot_general(&x, &y, &[], &[]).dims(), [2, 3, 4, 5, 5, 3, 2, 3]);
    }

    #[test]
    fn derivatives_and_lanes() {
        let (x, y) = (waves(&[2, 3, 2, 2], 0.1), waves(&[2, 3, 2, 3], 0.7));
        check_grads(|x: &Tensor, y: &Tensor| both(x, y).sin(), (&x, &y), 2);
        check_lanes(both, (&waves(&[5, 2, 3, 2, 2], 0.1), &waves(&[5, 2, 3, 2, 3], 0.7)));
    }

    #[test]
    fn dtypes_are_promoted() {
        let x = Tensor::from([1i32, 2]);
        let z = dot_general(&x, &Tensor::from([0.5f32, 4.0]), &[(0, 0)], &[]);
        assert_eq!(z.item::<f32>(), 8.5);
        assert_eq!(dot_general(&x, &x, &[(0, 0)], &[]).item::<i32>(), 5);
    }

    #[test]
    fn an_empty_contraction_is_zero() {
        for n in [2, 8, 40] {
            let z = dot_general(&waves(&[n, 0], 0.0), &waves(&[0, n], 0.0), &[(1, 0)], &[]);
            assert_eq!(z.to_vec::<f64>(), vec![0.0; n * n]);
            let of_none = |y: &Tensor| dot_general(&waves(&[0, n], 0.0), y, &[(1, 0)], &[]).sum(());
            assert_eq!(grad(of_none).at(&waves(&[n, n], 0.0)).to_vec::<f64>(), vec![0.0; n * n]);
            check_lanes(
                |x: &Tensor, y: &Tensor| dot_general(x, y, &[(1, 0)], &[]),
                (&waves(&[3, n, 0], 0.0), &waves(&[3, 0, n], 0.0)),
            );
        }
    }

    #[test]
    #[should_panic(expected = "dot_general: contracted dims 0 and 0 differ: 2 and 3")]
    fn pairs_agree() {
        dot_general(&waves(&[2], 0.0), &waves(&[3], 0.0), &[(0, 0)], &[]);
    }

    #[test]
    #[should_panic(expected = "dot_general: a dim is named twice")]
    fn a_dim_has_one_role() {
        dot_general(&waves(&[2], 0.0), &waves(&[2, 2], 0.0), &[(0, 0), (0, 1)], &[]);
    }

    #[test]
    #[should_panic(expected = "there is no product of bool operands; cast them first")]
    fn truth_has_no_product() {
        let x = Tensor::from([true]);
        dot_general(&x, &x, &[(0, 0)], &[]);
    }
}
