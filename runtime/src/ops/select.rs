//! `where_`: one of two values, by a condition.

use super::broadcast_to;
use super::operand::Operand;
use crate::array::kernels::map3;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::{DType, dispatch};
use crate::op::Op;
use crate::ops::elementwise::{Class, common_dims, prepare};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// `yes` where `condition` is true, else `no`.
///
/// `bool[..], T[..], T[..] -> T[..]`; values are promoted to one type, and all three broadcast. Numbers as a
/// condition are true unless they are 0. Both values are computed, and an infinite derivative of the one that is
/// not chosen is still NaN (0 · ∞): make its *operand* harmless instead, as in
/// `where_(&ok, where_(&ok, &x, 1.0).log(), 0.0)`.
///
/// ```
/// use axisgrad::{Tensor, ops::where_};
/// let x = Tensor::from([-1.0, 4.0]);
/// assert_eq!(where_(x.gt(0.0), &x, x.exp()).to_vec::<f64>(), [(-1.0f64).exp(), 4.0]);
/// ```
///
/// # Panics
/// If the dims do not broadcast.
#[track_caller]
pub fn where_(condition: impl Operand, yes: impl Operand, no: impl Operand) -> Tensor {
    let [yes, no] = prepare("where", Class::any, [yes.side(), no.side()]);
    let [condition] = prepare("where", Class::bool, [condition.side()]);
    let dims = common_dims("where", &[&condition, &yes, &no]);
    let [condition, yes, no] = [condition, yes, no].map(|x| broadcast_to(&x, &dims));
    bind(Where, &[&condition, &yes, &no])
}

struct Where;

impl Op for Where {
    fn name(&self) -> &'static str {
        "where"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let [condition, yes, no] = inputs else { unreachable!("three operands") };
        if condition.dtype != DType::Bool || yes.dtype != no.dtype {
            return Err("it takes a bool condition and two values of one type".to_owned());
        }
        if condition.dims != yes.dims || yes.dims != no.dims {
            return Err("the dims differ".to_owned());
        }
        Ok((yes.dtype, yes.dims.clone()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        dispatch!(inputs[1].dtype(), T => {
            map3(&inputs[0], &inputs[1], &inputs[2], |condition: bool, yes: T, no: T| if condition { yes } else { no })
        })
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        match wrt {
            0 => None,
            1 => Some(where_(&inputs[0], ct, 0)),
            _ => Some(where_(&inputs[0], 0, ct)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn values_are_chosen() {
        let n = Tensor::from([[0i32, 3]]);
        assert_eq!(where_(&n, 1.5, &n).to_vec::<f32>(), [0.0, 1.5]);
        assert_eq!(where_(&n, Tensor::from([[1u8], [2]]), true).to_vec::<u8>(), [1, 1, 1, 2]);
        assert_eq!(where_(true, 1, 2).item::<i32>(), 1);
    }

    #[test]
    fn derivatives_to_second_order() {
        let (x, y) = (Tensor::from([0.5f64, -1.25, 3.0]), Tensor::from([[2.0f64], [-0.5]]));
        check_grads(|x: &Tensor, y: &Tensor| where_(x.gt(0.0), x * y, y.square()), (&x, &y), 2);
        check_lanes(|x: &Tensor| where_(x.gt(0.0), x, -1.0), &x);
    }
}
