//! Tensors: values with a type, on a tape or not.

use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use crate::array::{Array, Dims};
use crate::dtype::{DType, Scalar};
use crate::error::violation;
use crate::tape::Tape;
use crate::types::{Axis, AxisSet, TensorType};

/// A value that may vary over named axes: `f32[784,10]{batch}`. Cheap to clone; immutable.
///
/// A tensor belongs to the worker that made it (`!Send`, since it may be on a tape); an [`Array`] crosses threads.
#[derive(Clone)]
pub struct Tensor(Rc<Value>);

enum Value {
    /// The lanes of this worker, lane dims first.
    Ground(TensorType, Array),
    /// Node `node` of `tape`, and the value that it stands for one level below.
    Traced { tape: Rc<Tape>, node: usize, below: Tensor },
}

impl Tensor {
    /// A value on no tape, from an array with the lane dims of `axes` in front.
    pub(crate) fn ground(array: Array, axes: AxisSet) -> Self {
        debug_assert_eq!(array.dims()[..axes.len()], axes.lane_dims()[..], "lane dims of {axes}");
        let dims = Dims::from_slice(&array.dims()[axes.len()..]);
        Self(Rc::new(Value::Ground(TensorType { dtype: array.dtype(), dims, axes }, array)))
    }

    /// Node `node` of `tape`, with the value `below`.
    pub(crate) fn traced(tape: Rc<Tape>, node: usize, below: Tensor) -> Self {
        Self(Rc::new(Value::Traced { tape, node, below }))
    }

    /// dtype, dims and axes.
    pub fn ty(&self) -> &TensorType {
        match &*self.0 {
            Value::Ground(ty, _) => ty,
            Value::Traced { below, .. } => below.ty(),
        }
    }

    /// The type of an element.
    pub fn dtype(&self) -> DType {
        self.ty().dtype
    }

    /// The positional dims.
    pub fn dims(&self) -> &[usize] {
        &self.ty().dims
    }

    /// The number of positional dims.
    pub fn ndim(&self) -> usize {
        self.ty().dims.len()
    }

    /// The size of a dim; negative numbers count from the end.
    ///
    /// # Panics
    /// If there is no such dim.
    #[track_caller]
    pub fn dim(&self, dim: isize) -> usize {
        self.dims()[self.dim_index("dim", dim)]
    }

    /// Elements at one position.
    pub fn len(&self) -> usize {
        self.ty().len()
    }

    /// Whether a position holds no element.
    pub fn is_empty(&self) -> bool {
        self.ty().is_empty()
    }

    /// The axes that the value varies over.
    pub fn axes(&self) -> &AxisSet {
        &self.ty().axes
    }

    /// The axis of that name.
    ///
    /// # Panics
    /// If the tensor does not vary over it.
    #[track_caller]
    pub fn axis(&self, name: &str) -> &Axis {
        let site = Location::caller();
        self.axes().get(name).unwrap_or_else(|| {
            violation("axis", &format!("the operand does not vary over `{name}`"), &[self], site)
        })
    }

    /// A dim from the front or, if negative, from the end, as an index from the front.
    #[track_caller]
    pub(crate) fn dim_index(&self, op: &str, dim: isize) -> usize {
        let ndim = self.ndim() as isize;
        if dim < -ndim || dim >= ndim {
            let rule = format!("dim {dim} is out of range for {ndim} dims");
            violation(op, &rule, &[self], Location::caller());
        }
        dim.rem_euclid(ndim) as usize
    }

    /// The tape it is on, innermost first.
    pub(crate) fn tape(&self) -> Option<&Rc<Tape>> {
        match &*self.0 {
            Value::Ground(..) => None,
            Value::Traced { tape, .. } => Some(tape),
        }
    }

    /// Its node on `tape` and the value one level below, if it is on it.
    pub(crate) fn on(&self, tape: &Tape) -> Option<(usize, &Tensor)> {
        match &*self.0 {
            Value::Traced { tape: own, node, below } if own.id() == tape.id() => Some((*node, below)),
            _ => None,
        }
    }

    /// The value with `tape` taken off.
    pub(crate) fn below(&self, tape: &Tape) -> &Tensor {
        self.on(tape).map_or(self, |(_, below)| below)
    }

    /// The lanes of this worker, below all tapes.
    pub(crate) fn array(&self) -> &Array {
        match &*self.0 {
            Value::Ground(_, array) => array,
            Value::Traced { below, .. } => below.array(),
        }
    }

    /// The same value, off all tapes: no gradient flows through it.
    ///
    /// `T[..]{..} -> T[..]{..}`
    pub fn stop_gradient(&self) -> Tensor {
        match &*self.0 {
            Value::Ground(..) => self.clone(),
            Value::Traced { below, .. } => below.stop_gradient(),
        }
    }

    /// The only element of an invariant scalar.
    ///
    /// # Panics
    /// If it varies over an axis (take [`psum`](crate::ops::psum()), `gather` or [`local`](Tensor::local) first),
    /// has more than one element, or is not of type `T`.
    #[track_caller]
    pub fn item<T: Scalar>(&self) -> T {
        if self.len() != 1 {
            violation("item", "it has not exactly one element", &[self], Location::caller());
        }
        self.to_vec::<T>()[0]
    }

    /// The elements of an invariant tensor, row-major.
    ///
    /// # Panics
    /// If it varies over an axis, or is not of type `T`.
    #[track_caller]
    pub fn to_vec<T: Scalar>(&self) -> Vec<T> {
        if self.dtype() != T::DTYPE {
            let rule = format!("its elements are {} and not {}", self.dtype(), T::DTYPE);
            violation("to_vec", &rule, &[self], Location::caller());
        }
        self.to_array().to_vec::<T>()
    }

    /// The value of an invariant tensor: what control flow may depend on, since it is the same on every worker.
    ///
    /// # Panics
    /// If it varies over an axis.
    #[track_caller]
    pub fn to_array(&self) -> Array {
        if let Some(axis) = self.axes().iter().next() {
            let rule = format!(
                "the value varies over `{0}`, and workers that read different values fall out of step\n   help: \
                 sum it with psum(&x, \"{0}\"), collect it with gather(&x, \"{0}\"), or take this worker's lanes \
                 with local()",
                axis.name()
            );
            violation("to_array", &rule, &[self], Location::caller());
        }
        self.array().clone()
    }

    /// This worker's lanes: an array with one leading dim for each axis. What is done with it is up to the
    /// worker alone; values that came from it must not steer which collectives are called.
    pub fn local(&self) -> Array {
        self.array().clone()
    }
}

/// Whatever makes an array makes an invariant tensor: numbers, nested literals, `Vec`s, nalgebra's matrices.
impl<T> From<T> for Tensor
where
    Array: From<T>,
{
    fn from(value: T) -> Self {
        Self::ground(value.into(), AxisSet::new())
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.ty(), self.array())
    }
}
