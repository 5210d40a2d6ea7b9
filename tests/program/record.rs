//! The records of a family document, as they stand in the file.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// A family document.
#[derive(Deserialize, Debug)]
pub struct Family {
    /// Its name.
    pub family: String,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// One program, what to compute of it, and the answers.
#[derive(Deserialize, Debug)]
pub struct Case {
    /// Unique over all families.
    pub name: String,
    /// The named axes, outermost first.
    pub axes: Vec<AxisRecord>,
    /// One tree for each argument.
    pub args: Vec<TreeRecord>,
    /// What runs at every position.
    pub fun: Fun,
    /// What to compute.
    pub call: Call,
    /// The answers.
    pub expected: Vec<ResultRecord>,
    /// How near they have to be met.
    pub tol: Tolerance,
}

/// A named axis.
#[derive(Deserialize, Debug)]
#[allow(missing_docs)]
pub struct AxisRecord {
    pub name: String,
    pub size: usize,
}

/// `abs(a - b) <= atol + rtol * abs(b)`.
#[derive(Deserialize, Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Tolerance {
    pub rtol: f64,
    pub atol: f64,
}

/// An argument.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum TreeRecord {
    Leaf(ArrayRecord),
    Tuple(Vec<TreeRecord>),
    List(Vec<TreeRecord>),
    Dict(BTreeMap<String, TreeRecord>),
    None(bool),
}

/// An array, with the dims of its named axes in front.
#[derive(Deserialize, Debug, Clone)]
pub struct ArrayRecord {
    /// The name of a leaf; empty elsewhere.
    #[serde(default)]
    pub name: String,
    /// `float64`, `int32`, ….
    pub dtype: String,
    /// Named axes first, then the dims that the program sees.
    pub shape: Vec<usize>,
    /// Row-major; `float0` has none.
    #[serde(default)]
    pub data: Vec<Json>,
    /// In the order of the case's axes.
    #[serde(default)]
    pub named_axes: Vec<String>,
}

/// An answer: an array and what it is the value of.
#[derive(Deserialize, Debug)]
pub struct ResultRecord {
    /// `value`, `grad:w`, ….
    pub of: String,
    /// The value.
    #[serde(flatten)]
    pub array: ArrayRecord,
}

/// A straight-line function.
#[derive(Deserialize, Debug)]
#[allow(missing_docs)]
pub struct Fun {
    pub params: Vec<String>,
    pub body: Vec<Statement>,
    pub ret: OneOrMany<String>,
    #[serde(default)]
    pub aux: Vec<String>,
}

/// `let = op(in; attrs)`.
#[derive(Deserialize, Debug)]
#[allow(missing_docs)]
pub struct Statement {
    #[serde(rename = "let")]
    pub results: Vec<String>,
    pub op: String,
    #[serde(rename = "in")]
    pub operands: Vec<Operand>,
    #[serde(default)]
    pub attrs: Map<String, Json>,
}

/// A name, or a scalar that takes the dtype of the other operand.
#[derive(Deserialize, Debug)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Operand {
    Name(String),
    Literal { lit: Json },
    Bool { bool: bool },
}

/// What to compute.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Call {
    pub kind: String,
    pub argnums: OneOrMany<i64>,
    pub has_aux: bool,
    pub reduce_axes: Vec<String>,
    pub holomorphic: bool,
    pub allow_int: bool,
    pub cotangents: Vec<ArrayRecord>,
}

/// `x` or `[x, …]`.
#[derive(Deserialize, Debug, Clone)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// All of them.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl<T: Default> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::One(T::default())
    }
}

impl TreeRecord {
    /// The leaves in order.
    pub fn leaves(&self) -> Vec<&ArrayRecord> {
        match self {
            Self::Leaf(leaf) => vec![leaf],
            Self::Tuple(items) | Self::List(items) => items.iter().flat_map(Self::leaves).collect(),
            Self::Dict(items) => items.values().flat_map(Self::leaves).collect(),
            Self::None(_) => Vec::new(),
        }
    }
}
