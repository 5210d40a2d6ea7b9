//! Runs a program both ways and compares: its value, gradients reduced over every set of axes, tangents, and the
//! derivatives of total gradients.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use axisgrad::check::same_bits;
use axisgrad::ops::gather;
use axisgrad::random::{Key, normal};
use axisgrad::worker::Bind;
use axisgrad::{Array, DType, Mesh, Tensor, Worker, grad, jvp};

use super::generate::Random;
use super::local::ROWS;
use super::named::{self, Axes};
use super::syntax::{Arg, Program};
use super::written_out::{self, Value, coordinate, gradients, positions};

/// What became of a program.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Right, in that many runs.
    Passed(usize),
    /// It computes infinities, or NaN.
    Infinite,
    /// What differs.
    Failed(String),
}

/// A result: a value at all positions.
type Results<T> = Vec<(String, T)>;

/// Checks a program on lanes alone and under two placements that depend on `seed`.
pub fn check(program: &Program, seed: u64) -> Verdict {
    let run = || try_check(program, seed).unwrap_or_else(Verdict::Failed);
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Verdict::Failed(text.unwrap_or_else(|| "the program written out fails".to_owned()))
    })
}

fn try_check(program: &Program, seed: u64) -> Result<Verdict, String> {
    let expected = written_out_results(program);
    if expected.iter().any(|(_, value)| value.at.iter().any(|x| !is_finite(x))) {
        return Ok(Verdict::Infinite);
    }
    compare(program, &expected, &run_named(program, None)?)
        .map_err(|why| format!("on lanes alone: {why}"))?;
    let mut first: Option<Results<Global>> = None;
    let places = Place::two(&mut Random::new(seed), program.axes.len());
    for place in &places {
        let results = run_named(program, Some(place)).map_err(|why| format!("{place:?}: {why}"))?;
        compare(program, &expected, &results).map_err(|why| format!("{place:?}: {why}"))?;
        let first = first.get_or_insert_with(|| results.clone());
        for ((name, a), (_, b)) in first.iter().zip(&results) {
            if !same_bits(&a.array, &b.array) {
                return Err(format!("{place:?}: {name} has other bits than under {:?}", places[0]));
            }
        }
    }
    Ok(Verdict::Passed(1 + places.len()))
}

fn is_finite(x: &Tensor) -> bool {
    x.stop_gradient().cast(DType::F64).to_vec::<f64>().iter().all(|x| x.abs() < 1e6)
}

/// Workers along each axis, ranks, and positions in a block.
#[derive(Debug)]
struct Place {
    workers: Vec<usize>,
    ranks: usize,
    block: usize,
}

impl Place {
    fn two(r: &mut Random, axes: usize) -> [Self; 2] {
        let block = 1 + r.below(2);
        [(); 2].map(|()| {
            let total = 2 + r.below(3);
            let mut workers = vec![1; axes];
            match total {
                4 => [0, 1].iter().for_each(|_| workers[r.below(axes)] *= 2),
                n => workers[r.below(axes)] = n,
            }
            let ranks = r.of(&[1, if total == 4 { 2 } else { total }]);
            Self { workers, ranks, block }
        })
    }

    fn mesh(&self, program: &Program) -> axisgrad::Result<Mesh> {
        let names: Vec<&str> = program.axes.iter().map(|(name, _)| *name).collect();
        let threads = self.workers.iter().product::<usize>() / self.ranks;
        let mesh = Mesh::builder().axes(names.clone()).threads(threads).block(self.block as u64);
        let mesh = names.iter().zip(&self.workers).fold(mesh, |mesh, (name, &n)| mesh.axis(*name, n));
        mesh.simulated_ranks(self.ranks).timeout(Duration::from_secs(20)).build()
    }
}

/// A value over named axes, away from any worker: the axes are the leading dims.
#[derive(Clone)]
struct Global {
    axes: Vec<&'static str>,
    array: Array,
}

impl Global {
    fn of(x: &Tensor, program: &Program) -> Self {
        let axes: Vec<&'static str> =
            program.axes.iter().map(|(name, _)| *name).filter(|name| x.axes().contains(name)).collect();
        let array = axes.iter().rev().fold(x.clone(), |x, name| gather(&x, name)).to_array();
        Self { axes, array }
    }

    fn at(&self, program: &Program, position: usize) -> Array {
        let along = |name: &&str| coordinate(&program.axes, position, name);
        self.axes.iter().map(along).fold(self.array.clone(), |array, i| array.index(0, i))
    }
}

/// What is compared, of both ways.
fn compare(program: &Program, expected: &Results<Value>, results: &Results<Global>) -> Result<(), String> {
    let tolerance = program.tolerance();
    for ((_, expected), (name, got)) in expected.iter().zip(results) {
        let numbers = |x: &Tensor| x.cast(DType::F64).to_vec::<f64>();
        let scale = expected.at.iter().flat_map(numbers).fold(1.0, |max: f64, x| max.max(x.abs()));
        for (position, expected) in expected.at.iter().enumerate() {
            let got = Tensor::from(got.at(program, position));
            if got.dims() != expected.dims() {
                return Err(format!("{name} has dims {:?} instead of {:?}", got.dims(), expected.dims()));
            }
            let mut pairs = numbers(&got).into_iter().zip(numbers(expected));
            if let Some((a, b)) = pairs.find(|(a, b)| (a - b).is_nan() || (a - b).abs() > tolerance * scale) {
                return Err(format!("{name} is {a} at position {position}, and {b} written out"));
            }
        }
    }
    Ok(())
}

/// All positions of an argument: the axes are the leading dims.
fn whole(program: &Program, number: usize, arg: &Arg) -> Tensor {
    let sizes = arg.axes.iter().map(|name| program.size(name));
    let dims: Vec<usize> = sizes.chain(arg.dims.iter().copied()).collect();
    let numbers = normal(Key::new(number as i64), DType::F64, &dims);
    if !arg.ids {
        return numbers.cast(program.dtype());
    }
    let ids = numbers.to_vec::<f64>().into_iter().map(|x| ((x * 100.0) as i32).rem_euclid(ROWS as i32));
    Array::from_vec::<i32>(ids.collect(), dims).into()
}

/// A direction for the derivatives of an argument.
fn direction(number: usize, x: &Tensor) -> Tensor {
    normal(Key::new(100 + number as i64), DType::F64, x.dims()).cast(x.dtype())
}

/// The sets of axes to reduce gradients over: all there are.
fn listings(program: &Program) -> Vec<Vec<&'static str>> {
    let names: Vec<&'static str> = program.axes.iter().map(|(name, _)| *name).collect();
    let of = |bits: usize| names.iter().enumerate().filter(move |(i, _)| bits >> i & 1 == 1).map(|(_, n)| *n);
    (0..1 << names.len()).map(|bits| of(bits).collect()).collect()
}

fn named_results(program: &Program, axes: &Axes, args: &[Tensor]) -> Results<Tensor> {
    let floats: Vec<usize> = (0..args.len()).filter(|&i| !program.args[i].ids).collect();
    let all = |by: &[Tensor]| {
        let mut args = args.to_vec();
        floats.iter().zip(by).for_each(|(&i, x)| args[i] = x.clone());
        named::run(&program.block, &args, axes)
    };
    let by: Vec<Tensor> = floats.iter().map(|&i| args[i].clone()).collect();
    let along: Vec<Tensor> = floats.iter().map(|&i| direction(i, &args[i])).collect();
    let loss = |by: &Vec<Tensor>| all(by).sum(());
    let mut results = vec![("the value".to_owned(), all(&by))];
    for listed in listings(program) {
        let gradient = grad(loss).reduce_axes(&listed).at(&by);
        results.extend(labelled(&format!("the gradient reduced over {listed:?}"), gradient));
    }
    results.push(("the tangent".into(), jvp(|by: &Vec<Tensor>| all(by)).at(&by, &along).1));
    let names: Vec<&str> = axes.keys().copied().collect();
    let slope = |by: &Vec<Tensor>| {
        let gradient = grad(loss).reduce_axes(&names).at(by);
        gradient.iter().zip(&along).map(|(g, v)| (g * v).sum(())).reduce(|a, b| a + b).expect("an argument")
    };
    results.extend(labelled("the second derivative", grad(slope).reduce_axes(&names).at(&by)));
    results
}

fn labelled<T>(what: &str, values: Vec<T>) -> Results<T> {
    values.into_iter().enumerate().map(|(i, value)| (format!("{what}, of number {i}"), value)).collect()
}

fn run_named(program: &Program, place: Option<&Place>) -> Result<Results<Global>, String> {
    let alone = Place { workers: vec![1; program.axes.len()], ranks: 1, block: 32 };
    let mesh = place.unwrap_or(&alone).mesh(program).map_err(|error| error.to_string())?;
    let run = |worker: &Worker| -> axisgrad::Result<_> {
        let axes = axes(program, worker, place.is_some());
        let args = program.args.iter().enumerate().map(|(i, arg)| {
            let bind = |x: Tensor, name: &&str| {
                if place.is_some() { worker.unstack(&x, name) } else { along(&x, &axes, name) }
            };
            arg.axes.iter().fold(whole(program, i, arg), bind)
        });
        let results = named_results(program, &axes, &args.collect::<Vec<_>>());
        Ok(results.into_iter().map(|(name, x)| (name, Global::of(&x, program))).collect())
    };
    mesh.run(run).map_err(|error| error.to_string())
}

/// The axes of the mesh, or axes on lanes alone.
fn axes(program: &Program, worker: &Worker, on_mesh: bool) -> Axes {
    let axis = |&(name, n): &(&'static str, usize)| {
        let rows = Tensor::from(Array::zeros(DType::F64, [n]));
        (name, if on_mesh { worker.axis(name, n) } else { rows.unstack(name, 0).axis(name).clone() })
    };
    program.axes.iter().map(axis).collect()
}

/// One row for each position of an axis that is on lanes alone.
fn along(x: &Tensor, axes: &Axes, name: &str) -> Tensor {
    debug_assert_eq!(axes[name].size(), x.dims()[0]);
    x.unstack(name, 0)
}

fn written_out_results(program: &Program) -> Results<Value> {
    let scope = &program.axes;
    let args: Vec<Value> = program.args.iter().enumerate().map(|(i, arg)| written(program, i, arg)).collect();
    let floats: Vec<usize> = (0..args.len()).filter(|&i| !program.args[i].ids).collect();
    let all = |by: &[Value]| {
        let mut args = args.clone();
        floats.iter().zip(by).for_each(|(&i, x)| args[i] = x.clone());
        written_out::run(&program.block, &args, scope)
    };
    let by: Vec<Value> = floats.iter().map(|&i| args[i].clone()).collect();
    let mut results = vec![("the value".to_owned(), all(&by))];
    let own: Vec<BTreeSet<&'static str>> = by.iter().map(|x| x.ty.axes.clone()).collect();
    for listed in listings(program) {
        let unlisted = || scope.iter().map(|(name, _)| *name).filter(|name| !listed.contains(name));
        let copies: Vec<_> = own.iter().map(|own| own.iter().copied().chain(unlisted()).collect()).collect();
        results.extend(labelled("the gradient", gradients(all, &by, &copies, scope)));
    }
    let along = |i: usize| by[i].at.iter().map(|x| direction(floats[i], x)).collect::<Vec<_>>();
    let along: Vec<Vec<Tensor>> = (0..by.len()).map(along).collect();
    let with = |at: &[Vec<Tensor>]| {
        let each = by.iter().zip(at).map(|(x, at)| Value { ty: x.ty.clone(), at: at.clone() });
        all(&each.collect::<Vec<_>>())
    };
    let here: Vec<Vec<Tensor>> = by.iter().map(|x| x.at.clone()).collect();
    let tangent = jvp(|at: &Vec<Vec<Tensor>>| with(at).at).at(&here, &along).1;
    results.push(("the tangent".into(), Value { ty: all(&by).ty, at: tangent }));
    let slope = |by: &[Value]| {
        let gradient = gradients(all, by, &own, scope);
        let axes = own.iter().flatten().copied().collect();
        let at = |p: usize| {
            let terms = gradient.iter().zip(&along).map(|(g, v)| (&g.at[p] * &v[p]).sum(()));
            terms.reduce(|a, b| a + b).expect("an argument")
        };
        let ty = super::syntax::Type { dims: vec![], axes, ids: false };
        Value { ty, at: (0..positions(scope)).map(at).collect() }
    };
    results.extend(labelled("the second derivative", gradients(slope, &by, &own, scope)));
    results
}

/// An argument at every position.
fn written(program: &Program, number: usize, arg: &Arg) -> Value {
    let whole = whole(program, number, arg);
    let at = |p: usize| {
        let along = arg.axes.iter().map(|name| coordinate(&program.axes, p, name));
        along.fold(whole.clone(), |x, i| x.index(0, i as isize))
    };
    Value { ty: arg.ty(&BTreeSet::new()), at: (0..positions(&program.axes)).map(at).collect() }
}
