//! Records as arrays, tensors and trees.

use std::collections::BTreeMap;

use axisgrad::array::Array;
use axisgrad::{Tensor, Tree};
use half::bf16;
use num_complex::Complex;
use serde_json::Value as Json;

use super::record::{ArrayRecord, TreeRecord};

/// An argument of a program: a tree whose shape is known only at run time.
#[derive(Clone, Tree)]
#[allow(missing_docs)]
pub enum Value {
    Leaf(Tensor),
    Items(Vec<Value>),
    Dict(BTreeMap<String, Value>),
    None,
}

impl Value {
    /// The tree of a record, its leaves bound to their axes by `bind`.
    pub fn new(record: &TreeRecord, bind: &dyn Fn(&ArrayRecord) -> Tensor) -> Self {
        let items = |items: &[TreeRecord]| items.iter().map(|item| Self::new(item, bind)).collect();
        match record {
            TreeRecord::Leaf(leaf) => Self::Leaf(bind(leaf)),
            TreeRecord::Tuple(record) | TreeRecord::List(record) => Self::Items(items(record)),
            TreeRecord::Dict(record) => {
                Self::Dict(record.iter().map(|(key, item)| (key.clone(), Self::new(item, bind))).collect())
            }
            TreeRecord::None(_) => Self::None,
        }
    }
}

/// The array of a record.
///
/// # Panics
/// For a dtype that axisgrad has not: see [`is_known_dtype`].
pub fn array(record: &ArrayRecord) -> Array {
    let dims = record.shape.as_slice();
    let data = &record.data;
    match record.dtype.as_str() {
        "float64" => Array::from_vec(data.iter().map(number).collect::<Vec<f64>>(), dims),
        "float32" => Array::from_vec(data.iter().map(|x| number(x) as f32).collect::<Vec<_>>(), dims),
        "int32" => Array::from_vec(data.iter().map(|x| integer(x) as i32).collect::<Vec<_>>(), dims),
        "int64" => Array::from_vec(data.iter().map(integer).collect::<Vec<i64>>(), dims),
        "bfloat16" => {
            Array::from_vec(data.iter().map(|x| bf16::from_f64(number(x))).collect::<Vec<_>>(), dims)
        }
        "uint32" => Array::from_vec(data.iter().map(|x| integer(x) as u32).collect::<Vec<_>>(), dims),
        "uint64" => Array::from_vec(data.iter().map(unsigned).collect::<Vec<_>>(), dims),
        "uint8" => Array::from_vec(data.iter().map(|x| integer(x) as u8).collect::<Vec<_>>(), dims),
        "bool" => Array::from_vec(data.iter().map(|x| *x == Json::Bool(true)).collect::<Vec<_>>(), dims),
        "complex128" => Array::from_vec(data.iter().map(complex).collect::<Vec<_>>(), dims),
        "complex64" => {
            let short = |x| Complex::new(complex(x).re as f32, complex(x).im as f32);
            Array::from_vec(data.iter().map(short).collect::<Vec<_>>(), dims)
        }
        "float0" => Array::float0(dims),
        other => panic!("axisgrad has no dtype {other}"),
    }
}

/// Whether axisgrad has that dtype.
pub fn is_known_dtype(name: &str) -> bool {
    let floats = ["float64", "float32", "bfloat16", "complex128", "complex64", "float0"];
    let integers = ["int32", "int64", "uint8", "uint32", "uint64", "bool"];
    floats.contains(&name) || integers.contains(&name)
}

/// A number as the format writes it: infinities and NaN are strings.
pub fn number(x: &Json) -> f64 {
    match x {
        Json::String(name) => name.parse().unwrap_or_else(|_| panic!("`{name}` is not a number")),
        x => x.as_f64().unwrap_or_else(|| panic!("{x} is not a number")),
    }
}

fn integer(x: &Json) -> i64 {
    x.as_i64().unwrap_or_else(|| panic!("{x} is not an integer"))
}

fn unsigned(x: &Json) -> u64 {
    x.as_u64().unwrap_or_else(|| panic!("{x} is not a number of 64 bits"))
}

/// A complex number `[re, im]`, or a real one.
pub fn complex(x: &Json) -> Complex<f64> {
    match x {
        Json::Array(pair) => Complex::new(number(&pair[0]), number(&pair[1])),
        Json::Bool(x) => Complex::from(f64::from(u8::from(*x))),
        x => Complex::from(number(x)),
    }
}
