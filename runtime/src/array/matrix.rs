//! nalgebra's matrices and vectors, in and out.

use nalgebra::{DMatrix, DVector};

use super::*;

impl<T: Scalar> From<&DMatrix<T>> for Array {
    /// `T[rows,columns]`; the memory keeps nalgebra's column-major order.
    fn from(matrix: &DMatrix<T>) -> Self {
        let (rows, columns) = matrix.shape();
        Self::from_slice(matrix.as_slice(), [columns, rows]).permute(&[1, 0])
    }
}

impl<T: Scalar> From<DMatrix<T>> for Array {
    fn from(matrix: DMatrix<T>) -> Self {
        Self::from(&matrix)
    }
}

impl<T: Scalar> From<&DVector<T>> for Array {
    /// `T[n]`.
    fn from(vector: &DVector<T>) -> Self {
        Self::from(vector.as_slice())
    }
}

impl<T: Scalar> From<DVector<T>> for Array {
    fn from(vector: DVector<T>) -> Self {
        Self::from(&vector)
    }
}

impl Array {
    /// A copy as nalgebra's matrix.
    ///
    /// # Panics
    /// If there are not two dims, or `T` is not the element type.
    #[track_caller]
    pub fn to_matrix<T: Scalar>(&self) -> DMatrix<T> {
        assert!(self.ndim() == 2, "to_matrix: a matrix has two dims, not {:?}", self.dims());
        DMatrix::from_vec(self.dims[0], self.dims[1], self.permute(&[1, 0]).to_vec())
    }

    /// A copy as nalgebra's vector.
    ///
    /// # Panics
    /// If there is not one dim, or `T` is not the element type.
    #[track_caller]
    pub fn to_vector<T: Scalar>(&self) -> DVector<T> {
        assert!(self.ndim() == 1, "to_vector: a vector has one dim, not {:?}", self.dims());
        DVector::from_vec(self.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_keep_their_entries() {
        let matrix = DMatrix::from_row_slice(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let array = Array::from(&matrix);
        assert_eq!((array.dims(), array.to_vec::<f64>()), (&[2, 3][..], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        assert_eq!(array.to_matrix::<f64>(), matrix);
        assert_eq!(array.slice(1, 0, 3, 2).to_matrix::<f64>(), matrix.select_columns(&[0, 2]));
    }

    #[test]
    fn vectors_keep_their_entries() {
        let vector = DVector::from_vec(vec![1i32, 2, 3]);
        assert_eq!(Array::from(vector.clone()).to_vector::<i32>(), vector);
    }
}
