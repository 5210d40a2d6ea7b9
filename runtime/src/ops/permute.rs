//! `permute`, and its special cases: the dims in another order.

use std::panic::Location;

use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::error::violation;
use crate::listed::Listed;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The dims in another order: dim `i` of the result is dim `order[i]` of `x`.
///
/// `T[2,3,5] -> T[5,2,3]` for `[2, 0, 1]`. Nothing is copied.
///
/// # Panics
/// If `order` does not name every dim once.
#[track_caller]
pub fn permute<T: Copy + TryInto<isize>>(x: &Tensor, order: impl AsRef<[T]>) -> Tensor {
    let given: Vec<isize> = order.as_ref().iter().map(|&dim| dim.try_into().unwrap_or(isize::MAX)).collect();
    let ndim = x.ndim() as isize;
    let order: Dims = given.iter().map(|dim| (if *dim < 0 { dim + ndim } else { *dim }) as usize).collect();
    if order.len() != x.ndim() || (0..x.ndim()).any(|dim| !order.contains(&dim)) {
        violation(
            "permute",
            &format!("{given:?} does not name each of {ndim} dims once"),
            &[x],
            Location::caller(),
        );
    }
    permuted(x, order)
}

/// The dims in reverse order: `T[2,3,5] -> T[5,3,2]`.
#[track_caller]
pub fn transpose(x: &Tensor) -> Tensor {
    permuted(x, (0..x.ndim()).rev().collect())
}

/// Two dims change places: `T[2,3,5] -> T[2,5,3]` for -1 and -2.
///
/// # Panics
/// If there is no such dim.
#[track_caller]
pub fn swap_dims(x: &Tensor, a: isize, b: isize) -> Tensor {
    let mut order: Dims = (0..x.ndim()).collect();
    order.swap(x.dim_index("swap_dims", a), x.dim_index("swap_dims", b));
    permuted(x, order)
}

/// Dim `from` becomes dim `to`; the others keep their order: `T[2,3,5] -> T[3,5,2]` from 0 to -1.
///
/// # Panics
/// If there is no such dim.
#[track_caller]
pub fn move_dim(x: &Tensor, from: isize, to: isize) -> Tensor {
    let (from, to) = (x.dim_index("move_dim", from), x.dim_index("move_dim", to));
    let mut order: Dims = (0..x.ndim()).filter(|&dim| dim != from).collect();
    order.insert(to, from);
    permuted(x, order)
}

impl Tensor {
    /// See [`permute`].
    #[track_caller]
    pub fn permute<T: Copy + TryInto<isize>>(&self, order: impl AsRef<[T]>) -> Tensor {
        permute(self, order)
    }

    /// See [`transpose`].
    #[track_caller]
    pub fn transpose(&self) -> Tensor {
        transpose(self)
    }

    /// See [`transpose`].
    #[track_caller]
    pub fn t(&self) -> Tensor {
        transpose(self)
    }

    /// See [`swap_dims`].
    #[track_caller]
    pub fn swap_dims(&self, a: isize, b: isize) -> Tensor {
        swap_dims(self, a, b)
    }

    /// See [`move_dim`].
    #[track_caller]
    pub fn move_dim(&self, from: isize, to: isize) -> Tensor {
        move_dim(self, from, to)
    }
}

/// `x` with its dims in `order`, which is known to be one.
#[track_caller]
pub(crate) fn permuted(x: &Tensor, order: Dims) -> Tensor {
    if order.is_sorted() { x.clone() } else { bind(Permute { order }, &[x]) }
}

/// The order that undoes `order`.
pub(crate) fn inverse(order: &[usize]) -> Dims {
    let mut inverse = Dims::from_elem(0, order.len());
    order.iter().enumerate().for_each(|(i, &dim)| inverse[dim] = i);
    inverse
}

/// See [`permute`].
struct Permute {
    order: Dims,
}

impl Op for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, self.order.iter().map(|&dim| inputs[0].dims[dim]).listed()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let lanes = axes.len();
        let order: Dims = (0..lanes).chain(self.order.iter().map(|dim| dim + lanes)).listed();
        inputs[0].permute(&order)
    }

    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        Some(permuted(ct, inverse(&self.order)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn dims_move_with_their_elements() {
        let x = Tensor::from([[1, 2, 3], [4, 5, 6]]);
        assert_eq!(x.t().to_vec::<i32>(), [1, 4, 2, 5, 3, 6]);
        assert_eq!(x.permute([-1, 0]).to_vec::<i32>(), x.swap_dims(0, 1).to_vec::<i32>());
        let y = Tensor::from(Array::zeros(DType::F32, [2, 3, 5]));
        assert_eq!(y.permute([2, 0, 1]).dims(), [5, 2, 3]);
        assert_eq!(y.move_dim(0, -1).dims(), [3, 5, 2]);
        assert_eq!(y.t().dims(), [5, 3, 2]);
    }

    #[test]
    #[should_panic(expected = "permute: [0, 0] does not name each of 2 dims once")]
    fn each_dim_is_named_once() {
        Tensor::from([[1, 2], [3, 4]]).permute([0, 0]);
    }

    #[test]
    fn derivatives_and_lanes() {
        let x = Tensor::from([[[0.3, -1.2, 2.0], [0.7, 0.1, -0.4]]]);
        let f = |x: &Tensor| x.permute([2, 0, 1]).sin();
        check_grads(f, (&x,), 2);
        check_lanes(f, &waves(&[5, 1, 2, 3], 0.1));
    }
}
