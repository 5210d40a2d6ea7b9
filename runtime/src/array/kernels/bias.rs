//! A row added to all rows.

use super::map::map2;
use super::vectors::{Loop, widest};
use crate::array::{Array, threads};
use crate::dtype::{Real, Scalar, dispatch};

/// `x + bias`, where the bias broadcasts to the dims of `x`: in place, if nobody else holds `x` and the bias is one row
/// of floats.
pub fn add_bias(mut x: Array, bias: &Array) -> Array {
    let bias = bias.broadcast_to(x.dims());
    let one_row = bias.strides().iter().rev().skip(1).all(|&stride| stride == 0);
    let in_place = one_row && !x.is_empty() && x.dtype().is_float() && {
        let row = bias.first_of(bias.ndim().saturating_sub(1)).contiguous();
        dispatch!(x.dtype() in [float], T => add_row::<T>(&mut x, row.as_slice()))
    };
    if in_place { x } else { dispatch!(x.dtype() in [numeric], T => map2(&x, &bias, T::plus)) }
}

/// Whether nobody else holds `x`, to which the row is then added.
fn add_row<T: Real>(x: &mut Array, row: &[T]) -> bool {
    let (pool, n) = (x.pool().clone(), row.len());
    let part = n * threads::part(&pool, x.len() / n, x.len(), threads::ELEMENTS);
    let Some(x) = x.get_mut::<T>() else { return false };
    threads::split(&pool, x, part, |_, x| widest(AddRow { x, row }));
    true
}

struct AddRow<'a, T> {
    x: &'a mut [T],
    row: &'a [T],
}

impl<T: Real> Loop for AddRow<'_, T> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        for x in self.x.chunks_exact_mut(self.row.len()) {
            x.iter_mut().zip(self.row).for_each(|(x, &bias)| *x = *x + bias);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_place_or_not_it_is_the_sum() {
        let x = || Array::from([[1.0f32, 2.0], [3.0, 4.0]]);
        let (alone, held) = (x(), x());
        let at = alone.as_slice::<f32>().as_ptr();
        let sum = add_bias(alone, &Array::from([10.0f32, 20.0]));
        assert_eq!((sum.to_vec::<f32>(), sum.as_slice::<f32>().as_ptr()), (vec![11.0, 22.0, 13.0, 24.0], at));
        let sum = add_bias(held.clone(), &Array::from([10.0f32, 20.0]));
        assert_eq!((sum.to_vec::<f32>()[3], held.to_vec::<f32>()[3]), (24.0, 4.0));
        let each = add_bias(x(), &Array::from([[10.0f32], [20.0]]));
        assert_eq!(each.to_vec::<f32>(), [11.0, 12.0, 23.0, 24.0]);
        assert_eq!(add_bias(Array::from(1.0f32), &Array::from(2.0f32)).item::<f32>(), 3.0);
        assert_eq!(add_bias(Array::from([1i32]), &Array::from([2i32])).item::<i32>(), 3);
    }
}
