//! Whether a result is the expected one.

use axisgrad::Tensor;
use axisgrad::array::Array;
use axisgrad::dtype::DType;
use axisgrad::ops::gather;
use half::bf16;
use num_complex::Complex;

use super::record::{AxisRecord, ResultRecord, Tolerance};
use super::value::complex;

/// A value at all positions of all axes, away from any worker.
#[derive(Clone, Debug)]
pub struct Global {
    /// The name of the dtype in the format.
    pub dtype: String,
    /// For each axis of the case, whether the value varies over it: then it is among the leading dims.
    varies: Vec<bool>,
    dims: Vec<usize>,
    /// Every dtype fits (integers up to 2^53).
    data: Vec<Complex<f64>>,
}

impl Global {
    /// The rows of all workers together.
    ///
    /// # Panics
    /// If `x` varies over an axis that is not one of `axes`.
    pub fn of(x: &Tensor, axes: &[AxisRecord]) -> Self {
        let varies: Vec<bool> = axes.iter().map(|axis| x.axes().contains(&axis.name)).collect();
        let varying = axes.iter().rev().filter(|axis| x.axes().contains(&axis.name));
        let (dtype, dims, data) = match x.dtype() {
            // A value without bytes: nothing can be collected, and its rows are all alike.
            DType::Float0 => {
                let lanes = varying.map(|axis| axis.size).collect::<Vec<_>>().into_iter().rev();
                (x.dtype(), lanes.chain(x.dims().iter().copied()).collect(), Vec::new())
            }
            dtype => {
                let whole = varying.fold(x.clone(), |x, axis| gather(&x, &axis.name)).to_array();
                (dtype, whole.dims().to_vec(), numbers(&whole))
            }
        };
        Self { dtype: dtype_name(dtype).into(), varies, dims, data }
    }

    /// An expected answer.
    pub fn expected(record: &ResultRecord, axes: &[AxisRecord]) -> Self {
        let varies = axes.iter().map(|axis| record.array.named_axes.contains(&axis.name)).collect();
        let round = |x: Complex<f64>| match record.array.dtype.as_str() {
            "float32" | "complex64" => Complex::new((x.re as f32).into(), (x.im as f32).into()),
            _ => x,
        };
        let data = record.array.data.iter().map(complex).map(round).collect();
        Self { dtype: record.array.dtype.clone(), varies, dims: record.array.shape.clone(), data }
    }

    /// The sizes of all axes and the positional dims; `None` if an axis has another size than in `axes`.
    fn full_dims(&self, axes: &[AxisRecord]) -> Option<Vec<usize>> {
        let mut dims = self.dims.iter().copied();
        for (axis, _) in axes.iter().zip(&self.varies).filter(|&(_, &varies)| varies) {
            dims.next().filter(|&size| size == axis.size)?;
        }
        Some(axes.iter().map(|axis| axis.size).chain(dims).collect())
    }

    /// The element at an index into all axes and dims.
    fn at(&self, index: &[usize]) -> Complex<f64> {
        let varies = self.varies.iter().copied().chain(std::iter::repeat(true));
        let own = index.iter().zip(varies).filter(|&(_, varies)| varies).map(|(i, _)| *i);
        self.data[own.zip(&self.dims).fold(0, |flat, (i, dim)| flat * dim + i)]
    }

    /// The first thing in which `self` is not `expected`, both broadcast over all axes; `None` if all is well.
    pub fn difference(&self, expected: &Self, axes: &[AxisRecord], tolerance: Tolerance) -> Option<String> {
        if self.dtype != expected.dtype {
            return Some(format!("dtype {} instead of {}", self.dtype, expected.dtype));
        }
        let (ours, theirs) = (self.full_dims(axes), expected.full_dims(axes));
        let dims = match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours == theirs => ours,
            (ours, theirs) => return Some(format!("dims {ours:?} instead of {theirs:?}")),
        };
        if self.dtype == "float0" {
            return None;
        }
        let unequal = |index: &Vec<usize>| !near(self.at(index), expected.at(index), tolerance);
        let index = indices(&dims).find(unequal)?;
        Some(format!("{} instead of {} at {index:?}", show(self.at(&index)), show(expected.at(&index))))
    }

    /// Whether the two are the same in every bit.
    pub fn same_bits(&self, other: &Self) -> bool {
        let bits = |x: &Self| x.data.iter().map(|x| [x.re.to_bits(), x.im.to_bits()]).collect::<Vec<_>>();
        self.dtype == other.dtype && self.dims == other.dims && bits(self) == bits(other)
    }
}

fn numbers(array: &Array) -> Vec<Complex<f64>> {
    let real = |x: f64| Complex::from(x);
    match array.dtype() {
        DType::F64 => array.to_vec::<f64>().into_iter().map(real).collect(),
        DType::F32 => array.to_vec::<f32>().into_iter().map(|x| real(x.into())).collect(),
        DType::I32 => array.to_vec::<i32>().into_iter().map(|x| real(x.into())).collect(),
        DType::I64 => array.to_vec::<i64>().into_iter().map(|x| real(x as f64)).collect(),
        DType::BF16 => array.to_vec::<bf16>().into_iter().map(|x| real(x.into())).collect(),
        DType::U32 => array.to_vec::<u32>().into_iter().map(|x| real(x.into())).collect(),
        DType::U64 => array.to_vec::<u64>().into_iter().map(|x| real(x as f64)).collect(),
        DType::U8 => array.to_vec::<u8>().into_iter().map(|x| real(x.into())).collect(),
        DType::Bool => array.to_vec::<bool>().into_iter().map(|x| real(u8::from(x).into())).collect(),
        DType::C128 => array.to_vec::<Complex<f64>>(),
        DType::C64 => {
            let wide = |x: Complex<f32>| Complex::new(x.re.into(), x.im.into());
            array.to_vec::<Complex<f32>>().into_iter().map(wide).collect()
        }
        DType::Float0 => Vec::new(),
    }
}

fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F64 => "float64",
        DType::F32 => "float32",
        DType::I32 => "int32",
        DType::I64 => "int64",
        DType::BF16 => "bfloat16",
        DType::U8 => "uint8",
        DType::U32 => "uint32",
        DType::U64 => "uint64",
        DType::Bool => "bool",
        DType::C128 => "complex128",
        DType::C64 => "complex64",
        DType::Float0 => "float0",
    }
}

/// The dtype of a name in the format.
///
/// # Panics
/// If axisgrad has none of that name.
pub fn dtype(name: &str) -> DType {
    use DType::*;
    let known = [F64, F32, BF16, I32, I64, U8, U32, U64, Bool, C128, C64, Float0];
    let found = known.into_iter().find(|&dtype| dtype_name(dtype) == name);
    found.unwrap_or_else(|| panic!("axisgrad has no dtype {name}"))
}

fn near(ours: Complex<f64>, theirs: Complex<f64>, tolerance: Tolerance) -> bool {
    if ours.im == 0.0 && theirs.im == 0.0 {
        return near_real(ours.re, theirs.re, tolerance);
    }
    if ours.is_finite() && theirs.is_finite() {
        return (ours - theirs).norm() <= tolerance.atol + tolerance.rtol * theirs.norm();
    }
    near_real(ours.re, theirs.re, tolerance) && near_real(ours.im, theirs.im, tolerance)
}

fn near_real(ours: f64, theirs: f64, Tolerance { rtol, atol }: Tolerance) -> bool {
    ours == theirs || ours.is_nan() && theirs.is_nan() || (ours - theirs).abs() <= atol + rtol * theirs.abs()
}

fn show(x: Complex<f64>) -> String {
    if x.im == 0.0 { x.re.to_string() } else { x.to_string() }
}

/// All indices into `dims`, row-major.
fn indices(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let dims = dims.to_vec();
    (0..dims.iter().product()).map(move |flat| {
        let mut rest: usize = flat;
        let mut index = vec![0; dims.len()];
        for (i, dim) in index.iter_mut().zip(&dims).rev() {
            (*i, rest) = (rest % dim, rest / dim);
        }
        index
    })
}
