//! `sgd_step`: one parameter, moved against its gradient.

use std::panic::Location;

use crate::array::kernels::map2;
use crate::dtype::{DType, Scalar, dispatch};
use crate::error::violation;
use crate::tensor::Tensor;

/// `parameter - gradient · rate`: `T[..], T[..] -> T[..]`.
///
/// One pass over memory; where something depends on an argument of `grad`, it is made of ops, and a gradient flows
/// through the step. Both give the same bits.
///
/// # Panics
/// If the two differ in type or dims.
#[track_caller]
pub fn sgd_step(parameter: &Tensor, gradient: &Tensor, rate: f64) -> Tensor {
    if gradient.dtype() != parameter.dtype() || gradient.dims() != parameter.dims() {
        let rule = "a parameter and its gradient have one type";
        violation("sgd_step", rule, &[parameter, gradient], Location::caller());
    }
    let plain =
        parameter.tape().is_none() && gradient.tape().is_none() && gradient.axes() == parameter.axes();
    let fits = plain && matches!(parameter.dtype(), DType::F32 | DType::F64);
    if fits { in_one_pass(parameter, gradient, rate) } else { parameter - &(gradient * rate) }
}

fn in_one_pass(parameter: &Tensor, gradient: &Tensor, rate: f64) -> Tensor {
    let moved = dispatch!(parameter.dtype() in [float], T => {
        let rate = <T as Scalar>::from_f64(rate);
        map2(parameter.array(), gradient.array(), move |p: T, g: T| p - g * rate)
    });
    Tensor::ground(moved, parameter.axes().clone())
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, same_bits};

    #[test]
    fn one_pass_has_the_bits_of_the_formula() {
        for dtype in [DType::F32, DType::F64] {
            let (p, g) = (waves(&[37, 3], 0.1).cast(dtype), waves(&[3, 37], 0.7).t().cast(dtype));
            let formula = &p - &(&g * 0.1);
            assert!(same_bits(&in_one_pass(&p, &g, 0.1).to_array(), &formula.to_array()));
        }
    }

    #[test]
    fn gradients_flow_through_a_step() {
        check_grads(
            |p: &Tensor, g: &Tensor| sgd_step(p, g, 0.1).sin(),
            (&waves(&[3], 0.1), &waves(&[3], 0.5)),
            2,
        );
    }

    #[test]
    #[should_panic(expected = "sgd_step: a parameter and its gradient have one type")]
    fn operands_fit() {
        sgd_step(&waves(&[3], 0.0), &waves(&[4], 0.0), 0.1);
    }
}
