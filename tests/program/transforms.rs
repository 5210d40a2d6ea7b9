//! The statements that call functions: derivatives, maps, loops and conditions.

use axisgrad::ops::{pvary, stack, where_};
use axisgrad::{Tensor, vjp, vmap};

use super::attrs::Operands;
use super::derivative::{Derivative, differentiate};
use super::interpret::{Context, call};
use super::record::{Fun, OneOrMany};
use super::value::Value;

type Transform = fn(&Context, Operands<'_>) -> Vec<Tensor>;

/// The transform of that name.
pub fn find(name: &str) -> Option<Transform> {
    TABLE.iter().find(|row| row.0 == name).map(|row| row.1)
}

const TABLE: &[(&str, Transform)] = &[
    ("grad", |context, o| gradient(context, o, false)),
    ("value_and_grad", |context, o| gradient(context, o, true)),
    ("jvp", jvp),
    ("vmap", mapped),
    // Neither changes what is computed.
    ("checkpoint", |context, o| call(context, &o.fun("fn"), o.inputs).results),
    ("jit", |context, o| call(context, &o.fun("fn"), o.inputs).results),
    ("scan", scan),
    ("fori", fori),
    ("cond", cond),
];

fn gradient(context: &Context, operands: Operands<'_>, with_value: bool) -> Vec<Tensor> {
    let fun = operands.fun("fn");
    let how = Derivative {
        argnums: operands.get::<OneOrMany<i64>>("argnums").as_slice().to_vec(),
        reduce_axes: operands.get_or_default("reduce_axes"),
        ..Derivative::default()
    };
    let args: Vec<Value> = operands.inputs.iter().cloned().map(Value::Leaf).collect();
    let outcome = differentiate(context, &fun, &args, &how);
    let value = with_value.then_some(outcome.value);
    value.into_iter().chain(outcome.gradients).collect()
}

/// The transpose of the transpose: the pullback is linear in its cotangent, so pulling the tangents back through
/// *it*, at any point, pushes them forward through the function. Both transposes sum over all axes, or they would
/// not be each other's.
fn jvp(context: &Context, operands: Operands<'_>) -> Vec<Tensor> {
    let (fun, tangents): (Fun, usize) = (operands.fun("fn"), operands.get("n_diff"));
    let (args, tangents) = operands.inputs.split_at(operands.inputs.len() - tangents);
    let (moving, still) = args.split_at(tangents.len());
    let moving: Vec<Tensor> =
        moving.iter().zip(tangents).map(|(x, tangent)| varying_like(x, tangent)).collect();
    let axes = context.reducible(&context.names(), &fun, args, tangents);
    let run = |moving: &Vec<Tensor>| call(context, &fun, &[moving, still].concat()).results;
    let (value, pullback) = vjp(run).reduce_axes(&axes).at(&moving);
    let zeros: Vec<Tensor> = value.iter().map(Tensor::zeros_like).collect();
    let (_, pushforward) = vjp(|cts: &Vec<Tensor>| pullback.call(cts)).reduce_axes(&axes).at(&zeros);
    value.into_iter().chain(pushforward.call(&tangents.to_vec())).collect()
}

/// `x`, varying at least over the axes of `other`.
fn varying_like(x: &Tensor, other: &Tensor) -> Tensor {
    other.axes().iter().fold(x.clone(), |x, axis| pvary(&x, axis))
}

fn mapped(context: &Context, operands: Operands<'_>) -> Vec<Tensor> {
    let (fun, in_axes): (Fun, Vec<Option<isize>>) = (operands.fun("fn"), operands.get("in_axes"));
    let name: Option<String> = operands.find("axis_name");
    let front = |(x, dim): (&Tensor, &Option<isize>)| dim.map(|dim| x.move_dim(dim, 0));
    let rows: Vec<Tensor> = operands.inputs.iter().zip(&in_axes).filter_map(front).collect();
    let run = |rows: &Vec<Tensor>, all: &Vec<Tensor>| {
        let context = match &name {
            Some(name) => context.with(rows[0].axis(name)),
            None => context.clone(),
        };
        let mut rows = rows.iter();
        let own = |(x, dim): (&Tensor, &Option<isize>)| match dim {
            Some(_) => rows.next().expect("one for each mapped operand").clone(),
            None => x.clone(),
        };
        call(&context, &fun, &all.iter().zip(&in_axes).map(own).collect::<Vec<_>>()).results
    };
    let mut map = vmap(run).in_axes((0, None::<isize>)).out_axes(operands.get::<Option<isize>>("out_axes"));
    if let Some(name) = &name {
        map = map.axis(name);
    }
    map.at((&rows, &operands.inputs.to_vec()))
}

fn scan(context: &Context, operands: Operands<'_>) -> Vec<Tensor> {
    let (fun, sequences): (Fun, usize) = (operands.fun("fn"), operands.get("n_xs"));
    let (xs, constants) = operands.inputs[1..].split_at(sequences);
    let steps = xs.first().map_or(0, |x| x.dims()[0]);
    let reverse: bool = operands.get_or_default("reverse");
    let mut carry = operands[0].clone();
    let mut rows = vec![None; steps];
    for step in 0..steps {
        let i = if reverse { steps - 1 - step } else { step };
        let row = xs.iter().map(|x| x.index(0, i as isize));
        let args: Vec<Tensor> = [carry].into_iter().chain(row).chain(constants.iter().cloned()).collect();
        let mut results = call(context, &fun, &args).results.into_iter();
        carry = results.next().expect("the carry");
        rows[i] = results.next();
    }
    let rows: Vec<Tensor> = rows.into_iter().flatten().collect();
    vec![carry, stack(&rows.iter().collect::<Vec<_>>(), 0)]
}

fn fori(context: &Context, operands: Operands<'_>) -> Vec<Tensor> {
    let (fun, steps): (Fun, i32) = (operands.fun("fn"), operands.get("n"));
    (0..steps).fold(operands.inputs.to_vec(), |state, i| {
        let args: Vec<Tensor> = [Tensor::from(i)].iter().chain(&state).cloned().collect();
        let next = call(context, &fun, &args).results;
        next.into_iter().chain(state[1..].iter().cloned()).collect()
    })[..1]
        .to_vec()
}

/// Where the predicate varies, both branches run and every position takes its own.
fn cond(context: &Context, operands: Operands<'_>) -> Vec<Tensor> {
    let (predicate, args) = (&operands[0], &operands.inputs[1..]);
    let branch = |name| call(context, &operands.fun(name), args).results;
    if predicate.axes().is_empty() {
        return branch(if predicate.item::<bool>() { "then" } else { "else" });
    }
    let pairs = branch("then").into_iter().zip(branch("else"));
    pairs.map(|(then, other)| where_(predicate, &then, &other)).collect()
}
