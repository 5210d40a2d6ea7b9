//! Batches of a data set that is in memory.

use crate::Tree;
use crate::array::Array;
use crate::array::kernels::gather_rows;
use crate::random::{Key, permutation};
use crate::tensor::Tensor;

/// The rows of a data set, a tree whose leaves have one row for each example, in batches.
///
/// The order of the examples depends on the key and the epoch alone, so every worker sees the same batches, of
/// which `unstack` takes its own rows.
///
/// ```
/// use axisgrad::Tensor;
/// use axisgrad::data::Batches;
/// use axisgrad::random::Key;
/// let x = Tensor::from([1.0, 2.0, 3.0, 4.0, 5.0]);
/// let sizes: Vec<usize> = Batches::of(&x, 2).shuffled(Key::new(0)).epoch(0).map(|x| x.dims()[0]).collect();
/// assert_eq!(sizes, [2, 2, 1]);
/// ```
#[derive(Clone, Debug)]
pub struct Batches<D> {
    data: D,
    rows: usize,
    size: usize,
    key: Option<Key>,
}

impl<D: Tree> Batches<D> {
    /// Batches of `size` rows; the last one of an epoch has what is left.
    ///
    /// # Panics
    /// If `size` is 0, there is no leaf, or the leaves differ in their number of rows.
    #[track_caller]
    pub fn of(data: &D, size: usize) -> Self {
        assert!(size > 0, "batches: the batch size must be at least 1");
        let counts: Vec<usize> = data.leaves().iter().map(|leaf| leaf.dims()[0]).collect();
        assert!(!counts.is_empty(), "batches: the data set has no tensor");
        assert!(counts.iter().all(|n| *n == counts[0]), "batches: the leaves have {counts:?} rows");
        Self { data: data.clone(), rows: counts[0], size, key: None }
    }

    /// In an order drawn anew for each epoch.
    pub fn shuffled(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }

    /// How many batches an epoch has.
    pub fn len(&self) -> usize {
        self.rows.div_ceil(self.size)
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The batches of one epoch.
    pub fn epoch(&self, epoch: usize) -> impl Iterator<Item = D> + '_ {
        let order: Vec<usize> = match self.key {
            Some(key) => permutation(key.fold_in(epoch as u32), self.rows),
            None => (0..self.rows).collect(),
        };
        (0..self.len()).map(move |i| {
            let rows = &order[i * self.size..self.rows.min((i + 1) * self.size)];
            let rows = Array::from_vec(rows.iter().map(|&row| row as i64).collect(), [rows.len()]);
            self.data.map_leaves(|leaf| Tensor::from(gather_rows(&leaf.to_array(), &rows, 0)))
        })
    }

    /// The batches of several epochs, one after another.
    pub fn epochs(&self, epochs: usize) -> impl Iterator<Item = D> + '_ {
        (0..epochs).flat_map(|epoch| self.epoch(epoch))
    }
}
