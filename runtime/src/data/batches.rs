//! Batches of a data set that is in memory.

use std::rc::Rc;

use crate::Tree;
use crate::array::Array;
use crate::array::kernels::gather_rows;
use crate::random::{Key, permutation};
use crate::tensor::Tensor;
use crate::tree::{Path, Saved};

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
    /// If `size` is 0, there is no leaf, one has no dims, or they differ in their number of rows.
    #[track_caller]
    pub fn of(data: &D, size: usize) -> Self {
        assert!(size > 0, "batches: the batch size must be at least 1");
        let leaves = data.leaves();
        assert!(!leaves.is_empty(), "batches: the data set has no tensor");
        assert!(leaves.iter().all(|leaf| leaf.ndim() > 0), "batches: a leaf without dims has no rows");
        let counts: Vec<usize> = leaves.iter().map(|leaf| leaf.dims()[0]).collect();
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
        let order = self.order(epoch);
        (0..self.len()).map(move |i| self.rows(&order[i * self.size..self.rows.min((i + 1) * self.size)]))
    }

    /// The batches of several epochs, one after another.
    pub fn epochs(self, epochs: usize) -> Epochs<D> {
        Epochs { end: epochs * self.rows, batches: self, next: Saved(0), order: (usize::MAX, Rc::new([])) }
    }

    fn order(&self, epoch: usize) -> Vec<usize> {
        match self.key {
            Some(key) => permutation(key.fold_in(epoch as u32), self.rows),
            None => (0..self.rows).collect(),
        }
    }

    fn rows(&self, rows: &[usize]) -> D {
        let rows = Array::from_vec(rows.iter().map(|&row| row as i64).collect(), [rows.len()]);
        self.data.map_leaves(|leaf| Tensor::from(gather_rows(&leaf.to_array(), &rows, 0)))
    }
}

/// The batches of several epochs, and the place that a run has reached among them.
///
/// As a tree it is the place alone, counted in examples since the first epoch, and the key of the order: saved with a
/// model, it goes on with the very next example, whatever the number of workers, or even the size of a batch.
///
/// ```
/// use axisgrad::data::Batches;
/// use axisgrad::{Tensor, Tree};
/// let mut batches = Batches::of(&Tensor::from([1.0, 2.0, 3.0]), 2).epochs(2);
/// assert_eq!(batches.len(), 4);
/// batches.next();
/// assert_eq!(batches.leaf_paths(), ["next"]);
/// assert_eq!(batches.next().unwrap().to_vec::<f64>(), [3.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Epochs<D> {
    batches: Batches<D>,
    /// The next example's number, among all of all epochs.
    next: Saved<i64>,
    end: usize,
    /// The order of an epoch.
    order: (usize, Rc<[usize]>),
}

impl<D: Tree> Iterator for Epochs<D> {
    type Item = D;

    fn next(&mut self) -> Option<D> {
        let (next, rows) = (self.next.0 as usize, self.batches.rows);
        if next >= self.end {
            return None;
        }
        let (epoch, start) = (next / rows, next % rows);
        if self.order.0 != epoch {
            self.order = (epoch, self.batches.order(epoch).into());
        }
        let end = rows.min(start + self.batches.size);
        *self.next += (end - start) as i64;
        Some(self.batches.rows(&self.order.1[start..end]))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (rows, left) = (self.batches.rows, self.end.saturating_sub(self.next.0 as usize));
        let whole = left.checked_div(rows).unwrap_or(0);
        let batches = whole * self.batches.len() + (left - whole * rows).div_ceil(self.batches.size);
        (batches, Some(batches))
    }
}

impl<D: Tree> ExactSizeIterator for Epochs<D> {}

impl<D: Tree> Tree for Epochs<D> {
    fn visit(&self, path: &Path<'_>, visit: &mut dyn FnMut(&Path<'_>, &Tensor)) {
        self.next.visit(&path.field("next"), visit);
        self.batches.key.map(Saved).visit(&path.field("key"), visit);
    }

    fn map(&self, path: &Path<'_>, map: &mut dyn FnMut(&Path<'_>, &Tensor) -> Tensor) -> Self {
        let next = self.next.map(&path.field("next"), map);
        let key = Tree::map(&self.batches.key.map(Saved), &path.field("key"), map).map(|Saved(key)| key);
        let batches = Batches { key, ..self.batches.clone() };
        Self { batches, next, end: self.end, order: (usize::MAX, Rc::new([])) }
    }
}
