//! `meshgrid`: the coordinates of the points of a grid.

use std::panic::Location;

use super::broadcast_to;
use super::reshape::reshaped;
use crate::array::Dims;
use crate::error::violation;
use crate::tensor::Tensor;

/// For rows of coordinates, one for each dim of a grid, the coordinates of all its points along each dim; the first row
/// runs along the first dim (`ij`, as PyTorch's default).
///
/// `T[m], U[n] -> T[m,n], U[m,n]`
///
/// # Panics
/// If a row has not one dim.
///
/// ```
/// use axisgrad::{Tensor, ops::meshgrid};
/// let grid = meshgrid(&[&Tensor::from([1, 2]), &Tensor::from([10, 20, 30])]);
/// assert_eq!(grid[0].to_vec::<i32>(), [1, 1, 1, 2, 2, 2]);
/// assert_eq!(grid[1].to_vec::<i32>(), [10, 20, 30, 10, 20, 30]);
/// ```
#[track_caller]
pub fn meshgrid(rows: &[&Tensor]) -> Vec<Tensor> {
    if let Some(row) = rows.iter().find(|row| row.ndim() != 1) {
        violation("meshgrid", "a row of coordinates has one dim", &[row], Location::caller());
    }
    let dims: Dims = rows.iter().map(|row| row.len()).collect();
    let alone = |at: usize| (0..dims.len()).map(|i| if i == at { dims[i] } else { 1 }).collect();
    rows.iter().enumerate().map(|(i, row)| broadcast_to(&reshaped(row, alone(i)), &dims)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn derivatives_and_lanes() {
        let f = |x: &Tensor, y: &Tensor| {
            let grid = meshgrid(&[x, y]);
            grid[0].sin() * &grid[1]
        };
        check_grads(f, (&waves(&[3], 0.1), &waves(&[2], 0.7)), 2);
        check_lanes(f, (&waves(&[4, 3], 0.1), &waves(&[4, 2], 0.7)));
    }

    #[test]
    #[should_panic(expected = "meshgrid: a row of coordinates has one dim")]
    fn rows_have_one_dim() {
        meshgrid(&[&waves(&[2, 2], 0.0)]);
    }
}
