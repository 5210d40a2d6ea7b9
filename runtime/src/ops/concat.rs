//! `concat` and `stack`: tensors side by side.

use std::panic::Location;

use super::cast;
use super::reshape::expand_dims;
use super::slice::slice;
use crate::array::kernels;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::{DType, promote};
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// Tensors one after the other along a dim, promoted to one dtype: `T[2,3], T[1,3] -> T[3,3]` for dim 0.
///
/// # Panics
/// If there are none, there is no such dim, or another dim differs.
///
/// ```
/// use axisgrad::{Tensor, ops::concat};
/// let (a, b) = (Tensor::from([1.0, 2.0]), Tensor::from([3.0]));
/// assert_eq!(concat(&[&a, &b], 0).to_vec::<f64>(), [1.0, 2.0, 3.0]);
/// ```
#[track_caller]
pub fn concat(parts: &[&Tensor], dim: isize) -> Tensor {
    let Some(first) = parts.first() else {
        violation("concat", "there is nothing to put side by side", &[], Location::caller());
    };
    let dim = first.dim_index("concat", dim);
    let dtype = parts.iter().map(|part| part.dtype()).reduce(promote).expect("a part");
    if parts.len() == 1 {
        return (*first).clone();
    }
    let parts: Vec<Tensor> = parts.iter().map(|part| cast(part, dtype)).collect();
    bind(Concat { dim }, &parts.iter().collect::<Vec<_>>())
}

/// Tensors of the same dims along a new dim, which will be `dim` of the result: `T[3], T[3] -> T[2,3]` for 0.
///
/// # Panics
/// If there are none, their dims differ, or the result has no such dim.
#[track_caller]
pub fn stack(parts: &[&Tensor], dim: isize) -> Tensor {
    if let Some(other) = parts.iter().find(|part| part.dims() != parts[0].dims()) {
        let rule = format!("dims differ: {:?} and {:?}", parts[0].dims(), other.dims());
        violation("stack", &rule, parts, Location::caller());
    }
    let rows: Vec<Tensor> = parts.iter().map(|part| expand_dims(part, dim)).collect();
    concat(&rows.iter().collect::<Vec<_>>(), dim)
}

/// See [`concat`].
struct Concat {
    dim: usize,
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let mut dims = inputs[0].dims.clone();
        for (i, part) in inputs.iter().enumerate().skip(1) {
            let mut same = part.dims.clone();
            if same.len() != dims.len() {
                return Err(format!("operand {i} has {} dims, and operand 0 has {}", same.len(), dims.len()));
            }
            same[self.dim] = inputs[0].dims[self.dim];
            if same != inputs[0].dims {
                return Err(format!(
                    "dims other than {} must agree, and those of operand {i} do not",
                    self.dim
                ));
            }
            dims[self.dim] += part.dims[self.dim];
        }
        Ok((inputs[0].dtype, dims))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        kernels::concat(&inputs.iter().collect::<Vec<_>>(), axes.len() + self.dim)
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let size = |part: &Tensor| part.dims()[self.dim];
        let start: usize = inputs[..wrt].iter().map(size).sum();
        Some(slice(ct, self.dim as isize, start..start + size(&inputs[wrt])))
    }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn parts_lie_side_by_side() {
        let (a, b) = (Tensor::from([[1, 2], [3, 4]]), Tensor::from([[5], [6]]));
        assert_eq!(concat(&[&a, &b], -1).to_vec::<i32>(), [1, 2, 5, 3, 4, 6]);
        assert_eq!(stack(&[&a, &a], 1).dims(), [2, 2, 2]);
        assert_eq!(stack(&[&a, &a], -1).to_vec::<i32>(), [1, 1, 2, 2, 3, 3, 4, 4]);
        assert_eq!(concat(&[&a, &Tensor::from([[0.5, 1.5]])], 0).dtype(), DType::F64);
    }

    #[test]
    #[should_panic(expected = "concat: dims other than 0 must agree, and those of operand 1 do not")]
    fn other_dims_agree() {
        concat(&[&Tensor::from([[1, 2]]), &Tensor::from([[1]])], 0);
    }

    #[test]
    #[should_panic(expected = "stack: dims differ: [2] and [1]")]
    fn a_stack_is_of_equals() {
        stack(&[&Tensor::from([1, 2]), &Tensor::from([1])], 0);
    }

    #[test]
    fn derivatives_and_lanes() {
        let (x, y) = (Tensor::from([[0.3, -1.2], [0.7, 0.1]]), Tensor::from([[2.0], [-0.4]]));
        let f = |x: &Tensor, y: &Tensor| concat(&[x, y, x], 1).sin();
        check_grads(f, (&x, &y), 2);
        check_lanes(f, (&waves(&[5, 2, 2], 0.1), &waves(&[5, 2, 1], 0.6)));
        check_grads(|x: &Tensor| stack(&[x, &x.cos()], 1).sin(), (&x,), 2);
    }
}
