//! Draws among classes, rows and orders.

use super::distributions::{gumbel_over, randint, uniform};
use super::threefry::{self, Key};
use super::{LAYOUT, gumbel};
use crate::array::Array;
use crate::dtype::DType;
use crate::ops::{log, take, top_k};
use crate::tensor::Tensor;

/// The numbers below `n` in random order.
pub fn permutation(key: Key, n: usize) -> Vec<usize> {
    threefry::permutation(key, LAYOUT, n)
}

/// Draws classes with the probabilities `softmax(logits)` along a dim: `f32[..,n]{..} -> i32[..]{..}` for dim -1.
///
/// ```
/// use axisgrad::{Tensor, random::{Key, categorical}};
/// let sure = Tensor::from([0.0, f64::NEG_INFINITY]);
/// assert_eq!(categorical(Key::new(0), &sure, 0).item::<i32>(), 0);
/// ```
///
/// # Panics
/// If there is no such dim, or the logits are not `f32` or `f64`.
#[track_caller]
pub fn categorical(key: Key, logits: &Tensor, dim: isize) -> Tensor {
    let noise = gumbel_over(key, logits.dtype(), logits.dims(), logits.axes());
    (noise + logits.stop_gradient()).argmax(dim)
}

/// `n` rows of `x` by chance, each as likely as the others, or with the probabilities `p`; each at most once unless
/// `replace` is set: `T[m,..] -> T[n,..]`.
///
/// # Panics
/// If `x` has no rows, there is not one probability for each, or fewer rows than are to be drawn without
/// replacement.
#[track_caller]
pub fn choice(key: Key, x: &Tensor, n: usize, replace: bool, p: Option<&[f64]>) -> Tensor {
    let rows = x.dims().first().copied().unwrap_or(0);
    assert!(rows > 0, "choice: {} has no rows to choose from", x.ty());
    assert!(replace || n <= rows, "choice: {n} of {rows} rows cannot all be different");
    assert!(p.is_none_or(|p| p.len() == rows), "choice: {rows} rows need as many probabilities");
    let ids = match (p, replace) {
        (None, true) => randint(key, 0..rows as i64, DType::I32, &[n]),
        (None, false) => numbers(permutation(key, rows).into_iter().take(n)),
        (Some(p), true) => weighted(key, p, n),
        // The largest of perturbed logarithms are a draw without replacement.
        (Some(p), false) => top_k(&(gumbel(key, DType::F64, &[rows]) + log(&Tensor::from(p.to_vec()))), n).1,
    };
    take(x, &ids, 0)
}

/// Where uniform numbers fall among the summed probabilities.
fn weighted(key: Key, p: &[f64], n: usize) -> Tensor {
    let sums: Vec<f64> = p
        .iter()
        .scan(0.0, |sum, p| {
            *sum += p;
            Some(*sum)
        })
        .collect();
    let total = sums.last().copied().unwrap_or(0.0);
    let at = |u: f64| sums.partition_point(|&sum| sum < total * (1.0 - u)).min(sums.len() - 1);
    numbers(uniform(key, DType::F64, &[n]).to_vec::<f64>().into_iter().map(at))
}

fn numbers(ids: impl Iterator<Item = usize>) -> Tensor {
    let ids: Vec<i32> = ids.map(|id| id as i32).collect();
    let count = ids.len();
    Array::from_vec(ids, [count]).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{gather, iota};

    #[test]
    fn classes_are_as_frequent_as_they_should_be() {
        let logits = Tensor::from([0.0, 2f64.ln(), f64::NEG_INFINITY]).broadcast_to(&[3000, 3]);
        let draws = categorical(Key::new(1), &logits, -1);
        let share = draws.cast(DType::F64).mean(()).item::<f64>();
        assert!((share - 2.0 / 3.0).abs() < 0.03, "{share}");
        let rows = categorical(Key::new(1), &logits.unstack("batch", 0), 0);
        assert_eq!(gather(&rows, "batch").to_vec::<i32>(), draws.to_vec::<i32>());
    }

    const CHOICES: [[i32; 5]; 4] = [[4, 2, 1, 2, 0], [4, 5, 1, 3, 0], [4, 4, 2, 5, 0], [4, 2, 5, 0, 3]];

    /// Values of `jax.random.choice` in f64, with partitionable keys.
    #[test]
    fn the_draws_of_the_reference() {
        let (x, p) = (iota(DType::I32, 6), [0.1, 0.0, 0.3, 0.2, 0.35, 0.05]);
        let draw = |replace, p: Option<&[f64]>| choice(Key::new(4), &x, 5, replace, p).to_vec::<i32>();
        assert_eq!(
            [draw(true, None), draw(false, None), draw(true, Some(&p)), draw(false, Some(&p))],
            CHOICES
        );
    }

    #[test]
    #[should_panic(expected = "choice: 7 of 6 rows cannot all be different")]
    fn there_are_enough() {
        choice(Key::new(0), &iota(DType::I32, 6), 7, false, None);
    }
}
