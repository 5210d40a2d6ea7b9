//! Derivatives of functions whose arguments are known only at run time.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use axisgrad::{Tensor, Tree, grad, hessian, jacfwd, jacrev, value_and_grad, vjp};

use super::interpret::{Context, Returned, call};
use super::record::Fun;
use super::value::Value;

/// The parameters of `grad`.
#[derive(Clone, Default)]
#[allow(missing_docs)]
pub struct Derivative {
    pub argnums: Vec<i64>,
    pub reduce_axes: Vec<String>,
    pub has_aux: bool,
    pub holomorphic: bool,
    pub allow_int: bool,
}

/// What differentiating gives.
pub struct Outcome {
    /// The function's value.
    pub value: Tensor,
    /// Its auxiliary results.
    pub aux: Vec<Tensor>,
    /// One for each leaf of the chosen arguments, in the order asked for.
    pub gradients: Vec<Tensor>,
}

/// The arguments parted into those to differentiate and the rest, and how to join them again.
struct Parted {
    positions: Vec<usize>,
    chosen: Vec<Value>,
    rest: Vec<Value>,
}

impl Parted {
    fn new(context: &Context, args: &[Value], how: &Derivative) -> Self {
        let positions: Vec<usize> =
            how.argnums.iter().map(|&n| n.rem_euclid(args.len() as i64) as usize).collect();
        let chosen = positions.iter().map(|&i| context.per_position(&args[i], &how.reduce_axes)).collect();
        let others = args.iter().enumerate().filter(|(i, _)| !positions.contains(i));
        Self { chosen, rest: others.map(|(_, arg)| arg.clone()).collect(), positions }
    }

    /// The leaves of all arguments in order.
    fn leaves(&self, chosen: &[Value], rest: &[Value]) -> Vec<Tensor> {
        let mut rest = rest.iter();
        let arg = |i| match self.positions.iter().position(|&p| p == i) {
            Some(at) => &chosen[at],
            None => rest.next().expect("one for each other argument"),
        };
        (0..chosen.len() + self.rest.len()).map(arg).flat_map(Tree::leaves).collect()
    }
}

/// Value, auxiliary results and gradients of `fun` at `args`.
pub fn differentiate(context: &Context, fun: &Fun, args: &[Value], how: &Derivative) -> Outcome {
    let parted = Parted::new(context, args, how);
    let run = |chosen: &Vec<Value>, rest: &Vec<Value>| scalar(context, fun, &parted.leaves(chosen, rest));
    let ((value, aux), gradients) = with_known(&how.reduce_axes, |reduce| {
        let mut transform = value_and_grad(run).has_aux().reduce_axes(reduce);
        if how.holomorphic {
            transform = transform.holomorphic();
        }
        if how.allow_int {
            transform = transform.allow_int();
        }
        transform.at((&parted.chosen, &parted.rest))
    });
    Outcome { value, aux, gradients: gradients.leaves() }
}

/// The gradients alone, through `grad`.
pub fn gradients(context: &Context, fun: &Fun, args: &[Value], how: &Derivative) -> Vec<Tensor> {
    let parted = Parted::new(context, args, how);
    let run = |chosen: &Vec<Value>, rest: &Vec<Value>| scalar(context, fun, &parted.leaves(chosen, rest)).0;
    with_known(&how.reduce_axes, |reduce| {
        let mut transform = grad(run).reduce_axes(reduce);
        if how.holomorphic {
            transform = transform.holomorphic();
        }
        if how.allow_int {
            transform = transform.allow_int();
        }
        transform.at((&parted.chosen, &parted.rest)).leaves()
    })
}

/// What `run` gives for these names without those that it refuses because nothing varies over them: in the format they
/// count for nothing.
fn with_known<T>(names: &[String], run: impl Fn(&[String]) -> T) -> T {
    let mut names = names.to_vec();
    loop {
        let payload = match catch_unwind(AssertUnwindSafe(|| run(&names))) {
            Ok(result) => return result,
            Err(payload) => payload,
        };
        let text = payload.downcast_ref::<String>().map_or("", String::as_str);
        let refused = |name: &String| text.contains(&format!("nothing in the function varies over `{name}`"));
        match names.iter().position(refused) {
            Some(at) => drop(names.remove(at)),
            None => resume_unwind(payload),
        }
    }
}

fn scalar(context: &Context, fun: &Fun, args: &[Tensor]) -> (Tensor, Vec<Tensor>) {
    let Returned { results, aux } = call(context, fun, args);
    let [value] = &results[..] else { panic!("a function to differentiate has one result") };
    (value.clone(), aux)
}

/// The results of `fun`, and `cotangents` pulled back to the leaves of the chosen arguments.
pub fn pull_back(
    context: &Context,
    fun: &Fun,
    args: &[Value],
    how: &Derivative,
    cotangents: Vec<Tensor>,
) -> (Vec<Tensor>, Vec<Tensor>) {
    let parted = Parted::new(context, args, how);
    let run =
        |chosen: &Vec<Value>, rest: &Vec<Value>| call(context, fun, &parted.leaves(chosen, rest)).results;
    with_known(&how.reduce_axes, |reduce| {
        let (value, pullback) = vjp(run).reduce_axes(reduce).at((&parted.chosen, &parted.rest));
        (value, pullback.call(&cotangents).leaves())
    })
}

/// The Jacobian of the single result of `fun` by each leaf of the chosen arguments, backwards or forwards: the
/// result's dims, then the leaf's.
pub fn jacobian(
    context: &Context,
    fun: &Fun,
    args: &[Value],
    how: &Derivative,
    forwards: bool,
) -> Vec<Tensor> {
    let parted = Parted::new(context, args, how);
    let run = |chosen: &Vec<Value>, rest: &Vec<Value>| scalar(context, fun, &parted.leaves(chosen, rest)).0;
    let at = (&parted.chosen, &parted.rest);
    match (forwards, how.holomorphic) {
        (false, false) => jacrev(run).at(at),
        (false, true) => jacrev(run).holomorphic().at(at),
        (true, false) => jacfwd(run).at(at),
        (true, true) => jacfwd(run).holomorphic().at(at),
    }
    .leaves()
}

/// The Hessian by the leaves of the chosen arguments, row after row.
pub fn hessians(context: &Context, fun: &Fun, args: &[Value], how: &Derivative) -> Vec<Tensor> {
    let parted = Parted::new(context, args, how);
    let run = |leaves: &Vec<Tensor>, rest: &Vec<Value>| {
        let mut leaves = leaves.iter();
        let chosen = parted.chosen.map_leaves(|_| leaves.next().expect("as many leaves").clone());
        scalar(context, fun, &parted.leaves(&chosen, rest)).0
    };
    let (transform, at) = (hessian(run), parted.chosen.leaves());
    let rows = if how.holomorphic { transform.holomorphic() } else { transform }.at((&at, &parted.rest));
    rows.concat()
}
