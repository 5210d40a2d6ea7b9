//! `embedding`: rows of a table of vectors.

use super::take;
use crate::tensor::Tensor;

/// The vectors that `table` has for `ids`: `f32[n,d], i32[..] -> f32[..,d]`. This is [`take`](take()) along dim 0
/// under the name that models know it by; a cotangent is added up row by row, for all examples into one table.
///
/// # Panics
/// If `ids` are not integers, or one is out of range.
///
/// ```
/// use axisgrad::{Tensor, ops::embedding};
/// let table = Tensor::from([[1.0, 2.0], [3.0, 4.0]]);
/// assert_eq!(embedding(&table, &Tensor::from([1, 0])).to_vec::<f64>(), [3.0, 4.0, 1.0, 2.0]);
/// ```
#[track_caller]
pub fn embedding(table: &Tensor, ids: &Tensor) -> Tensor {
    take(table, ids, 0)
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn derivatives_and_lanes() {
        let (table, ids) = (waves(&[4, 3], 0.2), Tensor::from([[3, 1], [1, 0]]));
        check_grads(|table: &Tensor| embedding(table, &ids).sin(), &table, 2);
        check_lanes(|ids: &Tensor| embedding(&table, ids), &ids);
        assert_eq!(embedding(&table, &ids).dims(), [2, 2, 3]);
    }
}
