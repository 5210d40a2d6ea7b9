//! Runs a function of the format on tensors.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axisgrad::ops::pvary;
use axisgrad::{Axis, Tensor, Tree};

use super::attrs::Operands;
use super::promote::promoted;
use super::record::{Fun, Operand, Statement};
use super::value::{Value, is_known_dtype, number};
use super::{ops, transforms};

/// The axes that names stand for.
#[derive(Clone, Default)]
pub struct Context {
    /// The bound axes.
    pub axes: BTreeMap<String, Axis>,
}

impl Context {
    /// With those axes bound.
    pub fn new(axes: impl IntoIterator<Item = Axis>) -> Self {
        let axes = axes.into_iter().map(|axis| (axis.name().to_owned(), axis)).collect();
        Self { axes }
    }

    /// With one more axis bound.
    pub fn with(&self, axis: &Axis) -> Self {
        Self::new(self.axes.values().chain([axis]).cloned())
    }

    /// The bound axis of that name.
    ///
    /// # Panics
    /// If there is none.
    pub fn axis(&self, name: &str) -> &Axis {
        self.axes.get(name).unwrap_or_else(|| panic!("no axis `{name}` is bound"))
    }

    /// The names of the bound axes.
    pub fn names(&self) -> Vec<String> {
        self.axes.keys().cloned().collect()
    }

    /// An argument as a gradient that is not reduced over the bound axes but for `listed` takes it: it varies over all the
    /// others. A program of axisgrad knows of no axis before something varies over it; in the format all of them are bound.
    pub fn per_position(&self, arg: &Value, listed: &[String]) -> Value {
        let others = self.axes.values().filter(|axis| !listed.iter().any(|name| name == axis.name()));
        arg.map_leaves(|leaf| {
            others.clone().fold(leaf.clone(), |x, axis| match x.axes().contains(axis.name()) {
                true => x,
                false => pvary(&x, axis),
            })
        })
    }
}

/// What a function returned.
pub struct Returned {
    /// Its results.
    pub results: Vec<Tensor>,
    /// Its auxiliary results.
    pub aux: Vec<Tensor>,
}

/// A name's value: a tensor, or a number that takes the dtype of what it meets.
#[derive(Clone)]
pub enum Slot {
    /// A tensor.
    Tensor(Tensor),
    /// A number.
    Number(f64),
}

/// Calls `fun`.
///
/// # Panics
/// If the function does not fit the format, or an op refuses.
pub fn call(context: &Context, fun: &Fun, args: &[Tensor]) -> Returned {
    assert_eq!(fun.params.len(), args.len(), "parameters and arguments");
    let bound = fun.params.iter().cloned().zip(args.iter().cloned().map(Slot::Tensor));
    let mut names: HashMap<String, Slot> = bound.collect();
    for statement in &fun.body {
        let results = execute(context, statement, &names);
        assert_eq!(results.len(), statement.results.len(), "results of {}", statement.op);
        names.extend(statement.results.iter().cloned().zip(results));
    }
    let tensor = |name: &String| match &names[name] {
        Slot::Tensor(x) => x.clone(),
        Slot::Number(x) => Tensor::from(*x),
    };
    Returned {
        results: fun.ret.as_slice().iter().map(tensor).collect(),
        aux: fun.aux.iter().map(tensor).collect(),
    }
}

fn execute(context: &Context, statement: &Statement, names: &HashMap<String, Slot>) -> Vec<Slot> {
    let slots: Vec<Slot> = statement.operands.iter().map(|operand| slot(operand, names)).collect();
    let inputs = promoted(&statement.op, tensors(&statement.op, &slots));
    let operands = Operands::new(&inputs, &statement.attrs);
    if statement.op == "axis_size" {
        return vec![Slot::Number(context.axis(&operands.get::<String>("axis_name")).size() as f64)];
    }
    let results = match transforms::find(&statement.op) {
        Some(transform) => transform(context, operands),
        None => ops::find(&statement.op).expect("an op of the table")(context, operands),
    };
    results.into_iter().map(Slot::Tensor).collect()
}

fn slot(operand: &Operand, names: &HashMap<String, Slot>) -> Slot {
    match operand {
        Operand::Name(name) => names[name].clone(),
        Operand::Literal { lit } => Slot::Number(number(lit)),
        Operand::Bool { bool } => Slot::Tensor(Tensor::from(*bool)),
    }
}

/// Numbers become tensors of the dtype of the last tensor beside them; the mask of `where` does not count.
fn tensors(op: &str, slots: &[Slot]) -> Vec<Tensor> {
    let mut given = slots.iter().skip(usize::from(op == "where")).filter_map(|slot| match slot {
        Slot::Tensor(x) => Some(x.dtype()),
        Slot::Number(_) => None,
    });
    let dtype = given.next_back();
    let tensor = |slot: &Slot| match (slot, dtype) {
        (Slot::Tensor(x), _) => x.clone(),
        (Slot::Number(x), None) => Tensor::from(*x),
        (Slot::Number(x), Some(dtype)) => Tensor::from(*x).cast(dtype),
    };
    slots.iter().map(tensor).collect()
}

/// What `fun` needs that axisgrad has not: names of ops and of dtypes.
pub fn lacking(fun: &Fun) -> BTreeSet<String> {
    let inner = |statement: &Statement| {
        let funs =
            statement.attrs.values().filter_map(|attr| serde_json::from_value::<Fun>(attr.clone()).ok());
        funs.flat_map(|fun| lacking(&fun)).collect::<Vec<_>>()
    };
    let known = |op: &str| op == "axis_size" || transforms::find(op).is_some() || ops::find(op).is_some();
    let own = fun.body.iter().map(|statement| &statement.op).filter(|op| !known(op)).cloned();
    let dtypes = fun.body.iter().filter_map(dtype_of).filter(|dtype| !is_known_dtype(dtype));
    own.chain(dtypes.map(str::to_owned)).chain(fun.body.iter().flat_map(inner)).collect()
}

/// The dtype that a statement asks for, by name or as that of a constant.
fn dtype_of(statement: &Statement) -> Option<&str> {
    let attr = |name| statement.attrs.get(name);
    attr("dtype").or_else(|| attr("value")?.get("dtype"))?.as_str()
}
