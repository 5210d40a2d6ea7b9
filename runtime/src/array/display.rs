//! How arrays print: as NumPy's do, under their type.

use std::fmt;

use super::*;
use crate::dtype::{Complex, Wide};

/// Arrays of more elements than this show only the ends of their dims.
const SHOW_ALL: usize = 1000;
/// How many entries at each end.
const EDGE: usize = 3;

/// The elements in brackets: `[[1.0, 2.0], [3.0, 4.0]]` over several lines; big arrays show their ends.
impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dtype == DType::Float0 {
            return f.write_str("no values");
        }
        let shown = self.ends();
        let texts = shown.texts();
        let width = texts.iter().map(String::len).max().unwrap_or(0);
        write_dims(f, &shown.dims, &self.dims, 1, &mut texts.iter().map(|text| format!("{text:>width$}")))
    }
}

/// The type and the elements: `f32[2] [1.0, 2.0]`.
impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.dims.iter().map(usize::to_string).collect();
        let gap = if self.ndim() > 1 { "\n" } else { " " };
        write!(f, "{}[{}]{gap}{self}", self.dtype, dims.join(","))
    }
}

impl Array {
    /// What of the array is shown: all, or where it is big the ends of each long dim.
    fn ends(&self) -> Self {
        if self.len() <= SHOW_ALL {
            return self.clone();
        }
        (0..self.ndim()).filter(|&dim| self.dims[dim] > 2 * EDGE).fold(self.clone(), |shown, dim| {
            let size = shown.dims[dim];
            kernels::concat(&[&shown.slice(dim, 0, EDGE, 1), &shown.slice(dim, size - EDGE, size, 1)], dim)
        })
    }

    fn texts(&self) -> Vec<String> {
        dispatch!(self.dtype in [stored], T => self.to_vec::<T>().into_iter().map(text).collect())
    }
}

fn text<T: Scalar>(value: T) -> String {
    match value.wide() {
        Wide::Integer(_) | Wide::Unsigned(_) => format!("{value:?}"),
        // `Debug` of the type itself gives the fewest digits that read back as the same value.
        Wide::Inexact(_) if !T::DTYPE.is_complex() => format!("{value:?}"),
        Wide::Inexact(z) if T::DTYPE == DType::C64 => complex(Complex::new(z.re as f32, z.im as f32)),
        Wide::Inexact(z) => complex(z),
    }
}

fn complex<R: fmt::Debug>(z: Complex<R>) -> String {
    let im = format!("{:?}", z.im);
    let sign = if im.starts_with('-') { "" } else { "+" };
    format!("{:?}{sign}{im}i", z.re)
}

/// Writes one dim in brackets. `all` are the dims before the middle was left out, `depth` the brackets so far.
fn write_dims(
    f: &mut fmt::Formatter<'_>,
    shown: &[usize],
    all: &[usize],
    depth: usize,
    texts: &mut dyn Iterator<Item = String>,
) -> fmt::Result {
    let [count, inner @ ..] = shown else {
        return f.write_str(&texts.next().expect("one text for each element"));
    };
    let separator = match inner.len() {
        0 => ", ".to_string(),
        n => format!(",{}{}", "\n".repeat(n), " ".repeat(depth)),
    };
    f.write_str("[")?;
    for i in 0..*count {
        if i > 0 {
            f.write_str(&separator)?;
        }
        if i == EDGE && *count < all[0] {
            write!(f, "...{separator}")?;
        }
        write_dims(f, inner, &all[1..], depth + 1, texts)?;
    }
    f.write_str("]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_arrays_show_all() {
        assert_eq!(format!("{:?}", Array::from([1.0f32, -2.5])), "f32[2] [ 1.0, -2.5]");
        assert_eq!(format!("{:?}", Array::from([[1i32, 20], [3, 4]])), "i32[2,2]\n[[ 1, 20],\n [ 3,  4]]");
        assert_eq!(
            format!("{}", Array::from([[[1u8], [2]], [[3], [4]]])),
            "[[[1],\n  [2]],\n\n [[3],\n  [4]]]"
        );
        assert_eq!(format!("{:?}", Array::scalar(true)), "bool[] true");
        assert_eq!(format!("{:?}", Array::scalar(Complex::new(1.0f32, -0.1))), "c64[] 1.0-0.1i");
        assert_eq!(format!("{:?}", Array::scalar(Complex::new(0.1f64, 2.0))), "c128[] 0.1+2.0i");
        assert_eq!(format!("{:?}", Array::float0([2])), "float0[2] no values");
        assert_eq!(format!("{}", Array::zeros(DType::F32, [0])), "[]");
    }

    #[test]
    fn big_arrays_show_their_ends() {
        let long = Array::from_vec((0..2000i32).collect(), [2000]);
        assert_eq!(format!("{long}"), "[   0,    1,    2, ..., 1997, 1998, 1999]");
        let wide = format!("{}", long.reshape(&[2, 1000]));
        assert_eq!(
            wide,
            "[[   0,    1,    2, ...,  997,  998,  999],\n [1000, 1001, 1002, ..., 1997, 1998, 1999]]"
        );
        let tall = format!("{}", long.reshape(&[1000, 2]));
        assert!(tall.contains("[   4,    5],\n ...,\n [1994, 1995]"), "{tall}");
    }
}
