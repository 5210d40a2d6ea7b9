//! `vmap`: a function of one example, mapped over many.
//!
//! The examples become an axis on this worker's lanes, so the function is called once, and every op works on all
//! of them together.

use std::panic::Location;

use crate::error::violation;
use crate::function::{ArgList, Arguments, Function, InAxes};
use crate::ops::gather::{gather_at, unstack_at};
use crate::ops::{broadcast_to, expand_dims};
use crate::tape::moment;
use crate::tensor::Tensor;
use crate::tree::{Path, Tree};
use crate::types::{Axis, Lanes};

type Site = &'static Location<'static>;

/// Maps a function over the first dim of all its arguments; results are stacked along a new first dim.
///
/// ```
/// use axisgrad::{Tensor, vmap};
/// let squares = vmap(|x: &Tensor| x * x).at(&Tensor::from([1.0, 2.0, 3.0]));
/// assert_eq!(squares.to_vec::<f64>(), [1.0, 4.0, 9.0]);
/// ```
pub fn vmap<F>(f: F) -> Vmap<F> {
    Vmap { f, name: None, in_axes: 0, out_axes: Some(0), size: None }
}

/// See [`vmap`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct Vmap<F, I = isize> {
    f: F,
    name: Option<String>,
    in_axes: I,
    out_axes: Option<isize>,
    size: Option<usize>,
}

impl<F, I> Vmap<F, I> {
    /// Names the axis, so that collectives in the function can use it.
    pub fn axis(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Which dim of each argument's leaves holds the examples: one number for all, or a tuple with one entry for
    /// each argument, where `None` passes an argument whole to every example.
    pub fn in_axes<I2>(self, in_axes: I2) -> Vmap<F, I2> {
        let Self { f, name, out_axes, size, .. } = self;
        Vmap { f, name, in_axes, out_axes, size }
    }

    /// Where the results' leaves are stacked; `None` if they are the same for all examples.
    pub fn out_axes(mut self, out_axes: impl Into<Option<isize>>) -> Self {
        self.out_axes = out_axes.into();
        self
    }

    /// How many examples there are, where no argument says it.
    pub fn axis_size(mut self, size: usize) -> Self {
        self.size = Some(size);
        self
    }

    /// Calls the mapped function with `&a` or `(&a, &b, …)`.
    ///
    /// # Panics
    /// If mapped dims are missing or differ in size, nothing is mapped, or a result varies with the example and
    /// `out_axes` is `None`.
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X) -> <Self as Function<X::Args>>::Output
    where
        Self: Function<X::Args>,
    {
        Function::call(self, &args.to_args())
    }
}

impl<Args, F, I> Function<Args> for Vmap<F, I>
where
    Args: ArgList,
    F: Function<Args, Output: Tree>,
    I: InAxes<Args>,
{
    type Output = F::Output;
    #[track_caller]
    fn call(&self, args: &Args) -> F::Output {
        let site = Location::caller();
        let axis = self.new_axis(args, site);
        let mapped = args.map_args(&mut |arg, _, leaf| match self.in_axes.dim(arg) {
            Some(dim) => unstack_at(leaf, &axis, leaf.dim_index("vmap", dim), site),
            None => leaf.clone(),
        });
        let output = self.f.call(&mapped);
        output.map(&Path::ROOT, &mut |path, leaf| self.restack(path, leaf, &axis, site))
    }
}

impl<F, I> Vmap<F, I> {
    /// The axis of the examples, of the size that all mapped arguments agree on.
    #[track_caller]
    fn new_axis<Args: ArgList>(&self, args: &Args, site: Site) -> Axis
    where
        I: InAxes<Args>,
    {
        let mut first: Option<(usize, String, Tensor)> = None;
        args.map_args(&mut |arg, path, leaf| {
            let Some(dim) = self.in_axes.dim(arg) else { return leaf.clone() };
            let size = leaf.dim(dim);
            match &first {
                Some((other, at, before)) if *other != size => {
                    let rule =
                        format!("there are {other} examples in argument {at} and {size} in argument {path}");
                    violation("vmap", &rule, &[before, leaf], site)
                }
                Some(_) => {}
                None => first = Some((size, path.to_string(), leaf.clone())),
            }
            leaf.clone()
        });
        let size = match (first, self.size) {
            (Some((there, at, leaf)), Some(asked)) if there != asked => {
                let rule = format!("axis_size is {asked}, and there are {there} examples in argument {at}");
                violation("vmap", &rule, &[&leaf], site)
            }
            (Some((size, ..)), _) | (None, Some(size)) => size,
            (None, None) => violation("vmap", "no argument is mapped\n   help: give axis_size", &[], site),
        };
        let birth = moment();
        match &self.name {
            Some(name) => Axis::on_lanes(name, size, birth, Lanes::Mapped),
            None => Axis::on_lanes(&format!("vmap{birth}"), size, birth, Lanes::Nameless),
        }
    }

    /// The axis as a dim again.
    fn restack(&self, path: &Path<'_>, leaf: &Tensor, axis: &Axis, site: Site) -> Tensor {
        let varies = leaf.axes().contains(axis.name());
        let Some(dim) = self.out_axes else {
            if varies {
                let path = path.to_string();
                let at = if path.is_empty() { path } else { format!(" at `{path}`") };
                let rule = format!("out_axes is None, and the result{at} varies with the example");
                violation("vmap", &rule, &[leaf], site);
            }
            return leaf.clone();
        };
        let ndim = leaf.ndim() as isize + 1;
        if dim < -ndim || dim >= ndim {
            violation("vmap", &format!("out_axes {dim} is out of range for {ndim} dims"), &[leaf], site);
        }
        let dim = dim.rem_euclid(ndim) as usize;
        if varies {
            return gather_at(leaf, axis, dim, site);
        }
        let mut dims = leaf.dims().to_vec();
        dims.insert(dim, axis.size());
        broadcast_to(&expand_dims(leaf, dim as isize), &dims)
    }
}
