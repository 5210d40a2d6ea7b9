//! The statements that call functions: derivatives, maps, loops and conditions.

use axisgrad::{Tensor, cond, fori_loop, jvp, scan, vmap};

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
    ("jvp", tangents),
    ("vmap", mapped),
    // Neither changes what is computed.
    ("checkpoint", |context, o| call(context, &o.fun("fn"), o.inputs).results),
    ("jit", |context, o| call(context, &o.fun("fn"), o.inputs).results),
    ("scan", scanned),
    ("fori", fori),
    ("cond", branches),
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

fn tangents(context: &Context, operands: Operands<'_>) -> Vec<Tensor> {
    let (fun, tangents): (Fun, usize) = (operands.fun("fn"), operands.get("n_diff"));
    let (args, tangents) = operands.inputs.split_at(operands.inputs.len() - tangents);
    let (moving, still) = args.split_at(tangents.len());
    let run = |moving: &Vec<Tensor>| call(context, &fun, &[moving, still].concat()).results;
    let (value, moved) = jvp(run).at(&moving.to_vec(), &tangents.to_vec());
    value.into_iter().chain(moved).collect()
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
    let mut map = vmap(run).in_axes((0, None::<isize>)).out_axes(operands.find::<isize>("out_axes"));
    if let Some(name) = &name {
        map = map.axis(name);
    }
    map.at((&rows, &operands.inputs.to_vec()))
}

fn scanned(context: &Context, operands: Operands<'_>) -> Vec<Tensor> {
    let (fun, sequences): (Fun, usize) = (operands.fun("fn"), operands.get("n_xs"));
    let (xs, constants) = operands.inputs[1..].split_at(sequences);
    let step = |carry: &Tensor, row: &Vec<Tensor>| {
        let args = [std::slice::from_ref(carry), &row[..], constants].concat();
        let mut results = call(context, &fun, &args).results;
        (results.remove(0), results)
    };
    let backwards = operands.get_or_default("reverse");
    let steps = if backwards { scan(step).reverse() } else { scan(step) };
    let (carry, rows) = steps.at((&operands[0], &xs.to_vec()));
    [vec![carry], rows].concat()
}

fn fori(context: &Context, operands: Operands<'_>) -> Vec<Tensor> {
    let (fun, constants) = (operands.fun("fn"), &operands.inputs[1..]);
    let body = |i: i64, state: &Tensor| {
        let args = [&[Tensor::from(i as i32), state.clone()], constants].concat();
        call(context, &fun, &args).results.remove(0)
    };
    vec![fori_loop(0, operands.get("n"), body, &operands[0])]
}

fn branches(context: &Context, operands: Operands<'_>) -> Vec<Tensor> {
    let branch = |name| move |args: &Vec<Tensor>| call(context, &operands.fun(name), args).results;
    cond(&operands[0], branch("then"), branch("else"), &operands.inputs[1..].to_vec())
}
