//! `cast`: the same values in another element type.

use crate::array::kernels;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The values of `x`, each as the nearest one of type `to`.
///
/// `T[..] -> U[..]`. Floats round, to integers towards zero and saturating; integers keep their low bits, a complex number gives a real type its real part, and
/// `bool` tells what is not zero. A cotangent is cast back.
///
/// ```
/// use axisgrad::{DType, Tensor, ops::cast};
/// let x = Tensor::from([-1.5, 0.0, 300.0]);
/// assert_eq!(cast(&x, DType::U8).to_vec::<u8>(), [0, 0, 255]);
/// assert_eq!(x.cast(DType::Bool).to_vec::<bool>(), [true, false, true]);
/// ```
///
/// # Panics
/// If one of the types is `float0`, which holds no values, and the other is not.
#[track_caller]
pub fn cast(x: &Tensor, to: DType) -> Tensor {
    if x.dtype() == to { x.clone() } else { bind(Cast { to }, &[x]) }
}

impl Tensor {
    /// See [`cast`].
    #[track_caller]
    pub fn cast(&self, to: DType) -> Tensor {
        cast(self, to)
    }
}

struct Cast {
    to: DType,
}

impl Op for Cast {
    fn name(&self) -> &'static str {
        "cast"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        if inputs[0].dtype == DType::Float0 || self.to == DType::Float0 {
            return Err("float0 holds no values".to_owned());
        }
        Ok((self.to, inputs[0].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::cast(&inputs[0], self.to)
    }

    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        Some(cast(ct, inputs[0].dtype()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::dtype::{Complex, bf16};
    use crate::grad;
    use crate::ops::psum;

    #[test]
    fn derivatives_to_second_order() {
        let x = Tensor::from([0.5f64, -1.25, 3.0]);
        check_grads(|x: &Tensor| x.cast(DType::C128).square().cast(DType::F64).sum(()), &x, 2);
        check_lanes(|x: &Tensor| x.cast(DType::I32), &x);
    }

    /// Ops compute in a wider type and round each result once.
    #[test]
    fn narrow_types_are_computed_in_wide_ones() {
        let x = Tensor::from([256.0, 1.0, 1.0]).cast(DType::BF16);
        assert_eq!(x.sum(()).to_vec::<bf16>(), [bf16::from_f32(258.0)]);
        assert_eq!((&x + 1.0).cast(DType::F32).to_vec::<f32>(), [256.0, 2.0, 2.0]);
        let slope = grad(|x: &Tensor| x.square().sum(())).at(&x);
        assert_eq!(
            (slope.dtype(), slope.cast(DType::F32).to_vec::<f32>()),
            (DType::BF16, vec![512.0, 2.0, 2.0])
        );
        let n = Tensor::from([u32::MAX, 7]);
        assert_eq!((&n + 1).to_vec::<u32>(), [0, 8]);
        assert_eq!((&n * &n).to_vec::<u32>(), [1, 49]);
        assert_eq!(
            (n.max(()).item::<u32>(), n.cast(DType::F64).to_vec::<f64>()[0]),
            (u32::MAX, 4_294_967_295.0)
        );
        assert_eq!(Tensor::from([u64::MAX, 1]).sort(0).to_vec::<u64>(), [1, u64::MAX]);
    }

    #[test]
    fn sums_over_examples_are_rounded_once() {
        let each = Tensor::from(vec![1.0; 258]).cast(DType::BF16).unstack("batch", 0);
        let sum = psum(&each, "batch");
        assert_eq!((sum.dtype(), sum.cast(DType::F32).item::<f32>()), (DType::BF16, 258.0));
        let w = Tensor::from(2.0).cast(DType::BF16);
        let total = grad(|w: &Tensor, x: &Tensor| w * x).reduce_axes(["batch"]).at((&w, &each));
        assert_eq!((total.dtype(), total.cast(DType::F32).item::<f32>()), (DType::BF16, 258.0));
    }

    #[test]
    fn a_gradient_has_the_type_of_its_argument() {
        let x = Tensor::from(3.0f32);
        let gradient = grad(|x: &Tensor| x.cast(DType::F64).square()).at(&x);
        assert_eq!(gradient.item::<f32>(), 6.0);
        let z = Tensor::from(Complex::new(3.0f64, 4.0));
        let gradient = grad(|z: &Tensor| z.square().cast(DType::F64)).at(&z);
        assert_eq!(gradient.item::<Complex<f64>>(), Complex::new(6.0, 8.0));
    }
}
