//! Runs a case under all its placements.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use axisgrad::worker::Bind;
use axisgrad::{Array, Axis, DType, Mesh, Tensor, Tree, Worker};

use super::compare::Global;
use super::derivative::{Derivative, differentiate, gradients, hessians, jacobian, pull_back};
use super::interpret::{Context, call, lacking};
use super::placement::Placement;
use super::record::{ArrayRecord, AxisRecord, Case};
use super::value::{Value, array, is_known_dtype};

/// What became of a case.
pub enum Verdict {
    /// Right under that many placements, and the same bits wherever the mesh knows the axes.
    Passed(usize),
    /// What differed first, and where.
    Failed(String),
    /// What axisgrad lacks.
    Skipped(String),
}

type Results = Vec<(String, Global)>;

/// Runs a case on one to four workers (with three, their shares are uneven), and compares.
pub fn run(case: &Case) -> Verdict {
    let missing = missing(case);
    if !missing.is_empty() {
        return Verdict::Skipped(missing.into_iter().collect::<Vec<_>>().join(", "));
    }
    match run_everywhere(case) {
        Ok(placements) => Verdict::Passed(placements),
        Err(difference) => Verdict::Failed(difference),
    }
}

fn run_everywhere(case: &Case) -> Result<usize, String> {
    let alone = Some(Placement::off_mesh()).filter(|_| !case.axes.is_empty());
    let on_mesh = (1..=4).flat_map(|workers| Placement::all(case.axes.len(), workers));
    let mut reference: Option<Results> = None;
    let placements: Vec<Placement> = alone.into_iter().chain(on_mesh).collect();
    for placement in &placements {
        let at = |difference: String| format!("{difference} ({placement})");
        let results = compute(case, placement).map_err(|error| at(error.to_string()))?;
        compare(case, &results).map_err(at)?;
        if !placement.off_mesh {
            let reference = reference.get_or_insert_with(|| results.clone());
            same_bits(reference, &results).map_err(at)?;
        }
    }
    Ok(placements.len())
}

fn compare(case: &Case, results: &Results) -> Result<(), String> {
    for record in &case.expected {
        let expected = Global::expected(record, &case.axes);
        let result = results.iter().find(|(name, _)| *name == record.of);
        let (name, ours) = result.ok_or_else(|| format!("{}: there is no such result", record.of))?;
        if let Some(difference) = ours.difference(&expected, &case.axes, case.tol) {
            return Err(format!("{name}: {difference}"));
        }
    }
    Ok(())
}

fn same_bits(reference: &Results, results: &Results) -> Result<(), String> {
    let differs = reference.iter().zip(results).find(|((_, a), (_, b))| !a.same_bits(b));
    differs.map_or(Ok(()), |((name, _), _)| Err(format!("{name}: other bits than on one worker")))
}

/// Ops, dtypes and kinds of call that a case needs and axisgrad has not.
fn missing(case: &Case) -> BTreeSet<String> {
    let leaves = case.args.iter().flat_map(|arg| arg.leaves());
    let arrays = leaves.chain(&case.call.cotangents).chain(case.expected.iter().map(|record| &record.array));
    let dtypes = arrays.map(|array| array.dtype.clone()).filter(|dtype| !is_known_dtype(dtype));
    dtypes.chain(lacking(&case.fun)).collect()
}

/// The results of a case, computed there.
fn compute(case: &Case, placement: &Placement) -> Result<Results, axisgrad::Error> {
    let mesh = mesh(case, placement)?;
    mesh.run(|worker| -> Result<Results, Box<dyn Error + Send + Sync>> {
        let axis = |record: &AxisRecord| axis(worker, record, placement);
        let context = Context::new(case.axes.iter().map(axis));
        let results = evaluate(case, &context, &|record| bind(worker, record, &context, placement));
        Ok(results.into_iter().map(|(name, x)| (name, Global::of(&x, &case.axes))).collect())
    })
}

/// Blocks of one position, so that the few positions of a case spread over all workers.
fn mesh(case: &Case, placement: &Placement) -> Result<Mesh, axisgrad::Error> {
    let known = case.axes.iter().map(|axis| axis.name.as_str()).filter(|_| !placement.off_mesh);
    let names: Vec<&str> = known.chain(["idle"]).take(placement.workers.len()).collect();
    let sizes = names.iter().zip(&placement.workers);
    let mesh = Mesh::builder().axes(names.clone()).threads(placement.threads).block(1);
    let mesh = sizes.fold(mesh, |mesh, (name, &workers)| mesh.axis(*name, workers));
    mesh.simulated_ranks(placement.ranks).timeout(Duration::from_secs(30)).build()
}

fn axis(worker: &Worker, record: &AxisRecord, placement: &Placement) -> Axis {
    if placement.off_mesh {
        let rows = Tensor::from(Array::zeros(DType::F64, [record.size])).unstack(&record.name, 0);
        return rows.axis(&record.name).clone();
    }
    worker.axis(&record.name, record.size)
}

fn bind(worker: &Worker, record: &ArrayRecord, context: &Context, placement: &Placement) -> Tensor {
    let whole = Tensor::from(array(record));
    record.named_axes.iter().fold(whole, |x, name| {
        debug_assert_eq!(context.axis(name).size(), x.dims()[0]);
        if placement.off_mesh { x.unstack(name, 0) } else { worker.unstack(&x, name) }
    })
}

/// Everything a case asks for, under the labels of its answers.
fn evaluate(case: &Case, context: &Context, bind: &dyn Fn(&ArrayRecord) -> Tensor) -> Vec<(String, Tensor)> {
    let args: Vec<Value> = case.args.iter().map(|arg| Value::new(arg, bind)).collect();
    let call_record = &case.call;
    let how = Derivative {
        argnums: call_record.argnums.as_slice().to_vec(),
        reduce_axes: call_record.reduce_axes.clone(),
        has_aux: call_record.has_aux,
        holomorphic: call_record.holomorphic,
        allow_int: call_record.allow_int,
    };
    let gradient = |gradients: Vec<Tensor>| labelled(leaf_names(case, &how.argnums, "grad:"), gradients);
    match call_record.kind.as_str() {
        "eval" => values(call(context, &case.fun, &args.leaves()).results),
        "grad" if !how.has_aux => gradient(gradients(context, &case.fun, &args, &how)),
        "grad" | "value_and_grad" => {
            let outcome = differentiate(context, &case.fun, &args, &how);
            let aux = case.fun.aux.iter().map(|name| format!("aux:{name}")).collect();
            [values(vec![outcome.value]), gradient(outcome.gradients), labelled(aux, outcome.aux)].concat()
        }
        "vjp" => {
            let cotangents = call_record.cotangents.iter().map(bind).collect();
            let (value, gradients) = pull_back(context, &case.fun, &args, &how, cotangents);
            [values(value), gradient(gradients)].concat()
        }
        "hessian" => numbered("jac", hessians(context, &case.fun, &args, &how)),
        kind @ ("jacrev" | "jacfwd") => {
            numbered("jac", jacobian(context, &case.fun, &args, &how, kind == "jacfwd"))
        }
        other => panic!("a call of kind {other} is not in the format"),
    }
}

fn leaf_names(case: &Case, argnums: &[i64], prefix: &str) -> Vec<String> {
    let position = |n: &i64| n.rem_euclid(case.args.len() as i64) as usize;
    let leaves = argnums.iter().flat_map(|n| case.args[position(n)].leaves());
    leaves.map(|leaf| format!("{prefix}{}", leaf.name)).collect()
}

fn labelled(names: Vec<String>, tensors: Vec<Tensor>) -> Vec<(String, Tensor)> {
    names.into_iter().zip(tensors).collect()
}

fn values(tensors: Vec<Tensor>) -> Vec<(String, Tensor)> {
    match &tensors[..] {
        [value] => vec![("value".into(), value.clone())],
        _ => numbered("value", tensors),
    }
}

fn numbered(label: &str, tensors: Vec<Tensor>) -> Vec<(String, Tensor)> {
    tensors.into_iter().enumerate().map(|(i, x)| (format!("{label}:{i}"), x)).collect()
}
