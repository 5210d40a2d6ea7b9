//! Arrays: strided views of pooled memory, and the kernels that compute with them.
//!
//! An [`Array`] knows its element type, its dims and where its elements lie; it knows nothing of axes, tensors or
//! tapes. It is immutable, cheap to clone, and may cross threads. Views (`permute`, `broadcast_to`, `slice`, …)
//! share memory; only [`reshape`](Array::reshape), of a view whose elements are not in order, copies.

mod construct;
mod display;
pub(crate) mod erf_inv;
pub(crate) mod inverse;
pub mod kernels;
pub(crate) mod logistic;
pub(crate) mod math;
mod matrix;
pub(crate) mod number;
pub(crate) mod special;
pub(crate) mod threads;
mod view;

use axisgrad_collectives::buffer::{Buffer, BufferMut, Pool};
use smallvec::SmallVec;

use crate::dtype::{DType, Scalar, dispatch};

/// The sizes of an array's positional dims, outermost first.
pub type Dims = SmallVec<[usize; 4]>;

/// How far apart (in elements) neighbours along each dim lie.
pub(crate) type Strides = SmallVec<[isize; 4]>;

/// How many elements there are in `dims`; `None` where memory could not hold as many of any type.
pub(crate) fn count(dims: impl IntoIterator<Item = usize>) -> Option<usize> {
    let count = dims.into_iter().try_fold(1usize, |count, dim| count.checked_mul(dim))?;
    (count <= isize::MAX as usize / size_of::<[f64; 2]>()).then_some(count)
}

/// As [`count`], where more cannot be asked for.
#[track_caller]
fn held(dims: &[usize]) -> usize {
    count(dims.iter().copied()).unwrap_or_else(|| panic!("{dims:?} has more elements than memory could hold"))
}

/// Elements of one type, arranged in dims: `f32[2,3]`.
pub struct Array {
    dtype: DType,
    dims: Dims,
    strides: Strides,
    /// The element of the buffer that is the first of the array.
    offset: usize,
    buffer: Buffer,
}

impl Clone for Array {
    /// Dims and strides are copied as slices; by themselves they would clone element by element.
    fn clone(&self) -> Self {
        let (dims, strides) = (Dims::from_slice(&self.dims), Strides::from_slice(&self.strides));
        Self { dtype: self.dtype, dims, strides, offset: self.offset, buffer: self.buffer.clone() }
    }
}

impl Array {
    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The sizes of the dims; empty for a scalar.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The number of dims.
    pub fn ndim(&self) -> usize {
        self.dims.len()
    }

    /// The number of elements: the product of the dims.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether there are no elements, because some dim is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pool that the memory came from; results computed from the array come from there too.
    pub fn pool(&self) -> &Pool {
        self.buffer.pool()
    }

    /// Bytes of the memory that the elements lie in, and perhaps others.
    pub(crate) fn memory(&self) -> usize {
        self.buffer.bytes().len()
    }

    /// How far apart (in elements) neighbours along each dim lie; 0 along a dim that is broadcast.
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// Where in the buffer (in elements) the first element lies.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether the elements lie in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        let in_order = self.dims.iter().zip(&self.strides).rev().all(|(&dim, &stride)| {
            let fits = dim == 1 || stride == expected;
            expected *= dim as isize;
            fits
        });
        in_order || self.is_empty()
    }

    /// The same array with its elements in row-major order; the very same memory if they are already.
    pub fn contiguous(&self) -> Self {
        if self.is_contiguous() || self.dtype == DType::Float0 { self.clone() } else { kernels::copy(self) }
    }

    /// A copy in row-major order with memory from `pool`, and so everything that is computed from it.
    pub fn copied_to(&self, pool: &Pool) -> Self {
        if self.dtype == DType::Float0 {
            return Self::float0_in(pool, self.dims());
        }
        dispatch!(self.dtype in [stored], T => Self::from_slice_in(pool, self.contiguous().as_slice::<T>(), self.dims()))
    }

    /// Memory that holds exactly this array's elements in row-major order; not a copy where it already does.
    pub fn contiguous_buffer(&self) -> Buffer {
        let whole = self.offset == 0 && self.buffer.bytes().len() == self.len() * self.dtype.size();
        if whole && (self.is_contiguous() || self.dtype == DType::Float0) {
            return self.buffer.clone();
        }
        kernels::copy(self).buffer
    }

    /// The elements, in row-major order, in place.
    ///
    /// # Panics
    /// If `T` is not the element type, or the array is not contiguous.
    #[track_caller]
    pub fn as_slice<T: Scalar>(&self) -> &[T] {
        assert!(self.is_contiguous(), "as_slice: {self:?} is a strided view; call contiguous() first");
        &self.data::<T>()[self.offset..][..self.len()]
    }

    /// The elements, copied out in row-major order.
    ///
    /// # Panics
    /// If `T` is not the element type.
    #[track_caller]
    pub fn to_vec<T: Scalar>(&self) -> Vec<T> {
        self.check_type::<T>();
        self.contiguous().as_slice().to_vec()
    }

    /// The only element.
    ///
    /// # Panics
    /// If there is not exactly one, or `T` is not its type.
    #[track_caller]
    pub fn item<T: Scalar>(&self) -> T {
        assert!(self.len() == 1, "item: {} elements, in {self:?}; item() is for one", self.len());
        self.data::<T>()[self.offset]
    }

    /// The elements for writing in place, if nobody else holds the memory and they lie in order.
    ///
    /// # Panics
    /// If `T` is not the element type.
    #[track_caller]
    pub fn get_mut<T: Scalar>(&mut self) -> Option<&mut [T]> {
        self.check_type::<T>();
        if !self.is_contiguous() {
            return None;
        }
        let range = self.offset..self.offset + self.len();
        self.buffer.get_mut::<T>().map(|data| &mut data[range])
    }

    /// The whole buffer as elements; the array's own are found with offset and strides.
    #[track_caller]
    pub(crate) fn data<T: Scalar>(&self) -> &[T] {
        self.check_type::<T>();
        self.buffer.as_slice()
    }

    #[track_caller]
    fn check_type<T: Scalar>(&self) {
        assert!(self.dtype == T::DTYPE, "the elements are {}, not {}; cast first", self.dtype, T::DTYPE);
    }
}

/// The strides of row-major order.
pub(crate) fn row_major(dims: &[usize]) -> Strides {
    let mut strides: Strides = SmallVec::from_elem(1, dims.len());
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i] * dims[i].max(1) as isize;
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_shared_only_when_it_is_exactly_the_array() {
        let a = Array::from([[1i32, 2], [3, 4]]);
        assert_eq!(a.contiguous_buffer().bytes().as_ptr(), a.buffer.bytes().as_ptr());
        let row = a.index(0, 1);
        assert_eq!(row.as_slice::<i32>(), [3, 4]);
        assert_eq!(row.contiguous_buffer().as_slice::<i32>(), [3, 4]);
        assert_eq!(a.permute(&[1, 0]).contiguous_buffer().as_slice::<i32>(), [1, 3, 2, 4]);
    }

    #[test]
    fn in_place_writing_needs_sole_ownership() {
        let mut a = Array::from([1.0f32, 2.0]);
        let b = a.clone();
        assert!(a.get_mut::<f32>().is_none());
        drop(b);
        a.get_mut::<f32>().unwrap()[0] = 5.0;
        assert_eq!(a.to_vec::<f32>(), [5.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "the elements are i32, not f32; cast first")]
    fn the_type_is_checked() {
        Array::from([1i32]).to_vec::<f32>();
    }

    #[test]
    #[should_panic(expected = "is a strided view; call contiguous() first")]
    fn a_slice_needs_order() {
        Array::from([[1i32, 2], [3, 4]]).permute(&[1, 0]).as_slice::<i32>();
    }

    #[test]
    fn arrays_cross_threads() {
        fn crosses<T: Send + Sync>() {}
        crosses::<Array>();
    }
}
