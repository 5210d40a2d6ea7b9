//! The attributes of a statement, read as what an op needs.

use axisgrad::{DType, Tensor};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::compare::dtype;
use super::record::{Fun, OneOrMany};

/// What an op gets: its operands and its attributes.
#[derive(Clone, Copy)]
pub struct Operands<'a> {
    /// In order.
    pub inputs: &'a [Tensor],
    attrs: &'a Map<String, Json>,
}

impl std::ops::Index<usize> for Operands<'_> {
    type Output = Tensor;

    fn index(&self, i: usize) -> &Tensor {
        &self.inputs[i]
    }
}

impl<'a> Operands<'a> {
    /// Of a statement.
    pub fn new(inputs: &'a [Tensor], attrs: &'a Map<String, Json>) -> Self {
        Self { inputs, attrs }
    }

    /// The attribute of that name, if it is there.
    ///
    /// # Panics
    /// If it is not of type `T`.
    pub fn find<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let value = self.attrs.get(name).filter(|value| !value.is_null())?;
        let read = serde_json::from_value(value.clone());
        Some(read.unwrap_or_else(|error| panic!("attribute `{name}` = {value}: {error}")))
    }

    /// The attribute of that name, or the default of its type.
    pub fn get_or_default<T: DeserializeOwned + Default>(&self, name: &str) -> T {
        self.find(name).unwrap_or_default()
    }

    /// The attribute of that name.
    ///
    /// # Panics
    /// If it is missing or not of type `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> T {
        self.find(name).unwrap_or_else(|| panic!("the attribute `{name}` is missing"))
    }

    /// The function under that name.
    ///
    /// # Panics
    /// If there is none.
    pub fn fun(&self, name: &str) -> Fun {
        self.get(name)
    }

    /// The attribute `axes` or `axis`, or all dims of the first operand.
    pub fn dims(&self) -> Vec<isize> {
        let some: Option<OneOrMany<isize>> = self.find("axes").or_else(|| self.find("axis"));
        some.map_or_else(|| (0..self[0].ndim() as isize).collect(), |dims| dims.as_slice().to_vec())
    }

    /// The dtype under that name, or a default.
    pub fn dtype_or(&self, default: DType) -> DType {
        self.find::<String>("dtype").map_or(default, |name| dtype(&name))
    }
}
