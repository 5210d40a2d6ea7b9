//! The ordered named axes, and the workers along each.

use crate::error::{Error, ErrorKind, Result};

/// The named axes of a program with the number of workers along each, in order; and where the workers are.
///
/// Workers are numbered rank by rank, and within the mesh row by row: the last axis varies fastest.
#[derive(Clone, Debug)]
pub struct Shape {
    axes: Vec<(String, usize)>,
    ranks: usize,
    threads: usize,
}

/// A set of axes, as bits.
pub(crate) type AxisSet = u32;

impl Shape {
    /// A mesh of these axes over `ranks` times `threads` workers.
    ///
    /// # Errors
    /// If a size or a count is zero, a name is repeated, or the sizes do not multiply to the workers.
    pub fn new(axes: Vec<(String, usize)>, ranks: usize, threads: usize) -> Result<Self> {
        let shape = Self { axes, ranks, threads };
        for (i, (name, size)) in shape.axes.iter().enumerate() {
            if *size == 0 {
                return Err(config(format!("axis `{name}` has no workers: its size must be at least 1")));
            }
            if shape.axes[..i].iter().any(|(other, _)| other == name) {
                return Err(config(format!("axis `{name}` is named twice")));
            }
        }
        if shape.axes.len() > 16 {
            return Err(config("a mesh has at most 16 axes"));
        }
        let sizes = shape.axes.iter().map(|(_, size)| *size);
        let product = sizes.fold(1, usize::saturating_mul);
        if product != shape.workers() {
            return Err(config(format!(
                "mesh {shape} is {product} workers, but there are {ranks} ranks x {threads} threads = {}\n   \
                 choose sizes that multiply to {0}, or other --threads",
                shape.workers()
            )));
        }
        Ok(shape)
    }

    /// Names and sizes, in order.
    pub fn axes(&self) -> &[(String, usize)] {
        &self.axes
    }

    /// All workers.
    pub fn workers(&self) -> usize {
        self.ranks.saturating_mul(self.threads)
    }

    /// Processes.
    pub fn ranks(&self) -> usize {
        self.ranks
    }

    /// Workers in each process.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Where a worker is along each axis.
    pub fn coordinates(&self, worker: usize) -> Vec<usize> {
        let mut rest = worker;
        let mut coordinates: Vec<usize> = self
            .axes
            .iter()
            .rev()
            .map(|(_, size)| {
                let at = rest % size;
                rest /= size;
                at
            })
            .collect();
        coordinates.reverse();
        coordinates
    }

    /// The axes with these names.
    ///
    /// # Errors
    /// If there is no such axis, or a name is repeated.
    pub(crate) fn axis_set(&self, names: &[&str]) -> Result<AxisSet> {
        names.iter().try_fold(0, |set, name| {
            let bit = 1 << self.axis(name)?;
            if set & bit != 0 {
                return Err(config(format!("axis `{name}` is named twice")));
            }
            Ok(set | bit)
        })
    }

    /// Which axis has this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn axis(&self, name: &str) -> Result<usize> {
        self.axes
            .iter()
            .position(|(axis, _)| axis == name)
            .ok_or_else(|| config(format!("there is no axis `{name}`; this mesh is {self}")))
    }

    /// The names of a set of axes, in mesh order: `batch,model`.
    pub(crate) fn names(&self, set: AxisSet) -> String {
        let chosen = self.axes.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
        chosen.map(|(_, (name, _))| name.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The workers that differ from `worker` along these axes at most, in order.
    pub(crate) fn members(&self, worker: usize, set: AxisSet) -> Vec<usize> {
        let mine = self.coordinates(worker);
        let same_elsewhere = |other: &usize| {
            let pairs = self.coordinates(*other).into_iter().zip(&mine).enumerate();
            pairs.into_iter().all(|(i, (a, b))| set >> i & 1 == 1 || a == *b)
        };
        (0..self.workers()).filter(same_elsewhere).collect()
    }
}

/// `batch=4,model=2`
impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (name, size)) in self.axes.iter().enumerate() {
            write!(f, "{}{name}={size}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

pub(crate) fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape::new(vec![("batch".into(), 3), ("model".into(), 2)], 2, 3).unwrap()
    }

    #[test]
    fn groups_are_the_rows_and_columns_of_the_mesh() {
        let shape = shape();
        assert_eq!(shape.coordinates(5), [2, 1]);
        assert_eq!(shape.members(3, shape.axis_set(&["batch"]).unwrap()), [1, 3, 5]);
        assert_eq!(shape.members(3, shape.axis_set(&["model"]).unwrap()), [2, 3]);
        assert_eq!(shape.members(3, shape.axis_set(&["model", "batch"]).unwrap()), [0, 1, 2, 3, 4, 5]);
        assert_eq!(shape.members(3, 0), [3]);
        assert_eq!(shape.names(3), "batch,model");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_advice() {
        let wrong = Shape::new(vec![("batch".into(), 3)], 2, 2).unwrap_err().to_string();
        assert_eq!(
            wrong,
            "mesh batch=3 is 3 workers, but there are 2 ranks x 2 threads = 4\n   \
             choose sizes that multiply to 4, or other --threads"
        );
        let unknown = shape().axis("bach").unwrap_err().to_string();
        assert_eq!(unknown, "there is no axis `bach`; this mesh is batch=3,model=2");
    }
}
