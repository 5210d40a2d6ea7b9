//! `checkpoint`: a function that keeps nothing for backward but its arguments, and runs again.

use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::Rc;

use crate::bind::common_axes;
use crate::call::{check_captured, record};
use crate::function::{ArgList, Arguments, Function};
use crate::grad::backward::pull_back;
use crate::op::Rule;
use crate::tape::{Tape, axes_of};
use crate::tensor::Tensor;
use crate::tree::{Tree, refill};
use crate::types::AxisSet;

type Site = &'static Location<'static>;

/// The same function; backward runs it again, instead of keeping what its ops need (rematerialisation; Chen, Xu, Zhang
/// and Guestrin, "Training deep nets with sublinear memory cost", 2016). One more forward pass, for the memory of one
/// such function at a time.
///
/// Values and derivatives, per-example and total ones too, are those of the function itself. Values that a gradient is
/// to reach must be arguments; the function owns what else it uses.
///
/// ```
/// use axisgrad::{Tensor, checkpoint, grad};
/// let block = checkpoint(|w: &Tensor, x: &Tensor| x.dot(w).tanh());
/// let loss = |w: &Tensor, x: &Tensor| block.at((w, &block.at((w, x)))).sum(());
/// let w = Tensor::from([[0.5, 0.0], [1.0, -0.5]]);
/// let plain = |w: &Tensor, x: &Tensor| x.dot(w).tanh().dot(w).tanh().sum(());
/// let x = Tensor::from([1.0, 2.0]);
/// assert_eq!(grad(loss).at((&w, &x)).to_vec::<f64>(), grad(plain).at((&w, &x)).to_vec::<f64>());
/// ```
pub fn checkpoint<F>(f: F) -> Checkpoint<F> {
    Checkpoint { f: Rc::new(f) }
}

/// See [`checkpoint`].
#[derive(Debug)]
pub struct Checkpoint<F> {
    f: Rc<F>,
}

impl<F> Clone for Checkpoint<F> {
    fn clone(&self) -> Self {
        Self { f: self.f.clone() }
    }
}

impl<F> Checkpoint<F> {
    /// Calls the function with `&a` or `(&a, &b, …)`.
    ///
    /// # Panics
    /// If the function uses a value to differentiate by that is not an argument.
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X) -> <Self as Function<X::Args>>::Output
    where
        Self: Function<X::Args>,
    {
        Function::call(self, &args.to_args())
    }
}

impl<Args, F, V> Function<Args> for Checkpoint<F>
where
    Args: ArgList + 'static,
    F: Function<Args, Output = V> + 'static,
    V: Tree,
{
    type Output = V;

    /// The function runs once, on a stand-in for each tape that an argument is on. These know which axes are reduced
    /// and what is settled, so the results have the axes that they would have without `checkpoint`; then they go, and
    /// all that they hold.
    #[track_caller]
    fn call(&self, args: &Args) -> V {
        let site = Location::caller();
        let levels = levels_of(args, site);
        if levels.is_empty() {
            return self.f.call(args);
        }
        let output = self.f.call(&args.map_leaves(|x| moved(x, &levels, site)));
        levels.iter().for_each(|level| level.stand.close());
        refill(&output, self.land(args, output.leaves(), &levels, site))
    }
}

/// A tape, and what stands in for it while the function runs.
struct Level {
    tape: Rc<Tape>,
    stand: Rc<Tape>,
}

/// One for each tape that an argument is on, outermost first.
fn levels_of(args: &impl Tree, site: Site) -> Vec<Level> {
    let leaves = args.leaves();
    common_axes("checkpoint", &leaves.iter().collect::<Vec<_>>(), site);
    let mut tapes: BTreeMap<u64, Rc<Tape>> = BTreeMap::new();
    for leaf in &leaves {
        let mut value = leaf;
        while let Some(tape) = value.tape() {
            tapes.insert(tape.id(), tape.clone());
            value = value.on(tape).expect("on its own tape").1;
        }
    }
    tapes.into_values().map(|tape| Level { stand: tape.part(), tape }).collect()
}

/// `x`, on the stand-ins instead of the tapes.
fn moved(x: &Tensor, levels: &[Level], site: Site) -> Tensor {
    let Some(tape) = x.tape() else { return x.clone() };
    let level = levels.iter().find(|level| level.tape.id() == tape.id()).expect("a level for each tape");
    let (node, below) = x.on(tape).expect("on its own tape");
    level.stand.settled_leaf(&moved(below, levels, site), tape.settled(node), site)
}

impl<F> Checkpoint<F> {
    /// Takes results from the stand-ins to the tapes, from the outermost level inwards.
    fn land<Args, V>(&self, args: &Args, results: Vec<Tensor>, levels: &[Level], site: Site) -> Vec<Tensor>
    where
        Args: ArgList + 'static,
        F: Function<Args, Output = V> + 'static,
        V: Tree,
    {
        let Some((Level { tape, stand }, outer)) = levels.split_last() else { return results };
        let settled = results.iter().map(|x| x.on(stand).map(|(node, _)| stand.settled(node)));
        let settled: Vec<Option<AxisSet>> = settled.collect();
        let below = |x: &Tensor| x.below(tape).clone();
        let values = results.iter().map(|x| x.below(stand).clone()).collect();
        let landed = self.land(&args.map_leaves(below), values, outer, site);
        landed.iter().for_each(|result| check_captured("checkpoint", result, tape, site));
        if settled.iter().all(Option::is_none) {
            return landed;
        }
        let leaves = args.leaves();
        let inputs: Vec<Option<usize>> = leaves.iter().map(|x| x.on(tape).map(|(node, _)| node)).collect();
        let rule = Again {
            f: self.f.clone(),
            args: args.map_leaves(below),
            settled: inputs.iter().map(|node| Some(tape.settled((*node)?))).collect(),
            site,
        };
        let results = landed.into_iter().zip(settled).collect();
        record(tape, inputs, Rc::new(rule), results, axes_of(&stand.take_nodes()), site)
    }
}

/// The function, to be run again at arguments below the tape.
struct Again<F, Args> {
    f: Rc<F>,
    args: Args,
    /// For each argument that is on the tape, what it is settled over.
    settled: Vec<Option<AxisSet>>,
    site: Site,
}

impl<F, Args, V> Rule for Again<F, Args>
where
    Args: Tree,
    F: Function<Args, Output = V>,
    V: Tree,
{
    fn pull_back(&self, tape: &Tape, cts: Vec<Tensor>) -> Vec<Option<Tensor>> {
        let part = tape.part();
        let mut settled = self.settled.iter();
        let args = self.args.map_leaves(|x| match settled.next().expect("one for each leaf") {
            Some(settled) => part.settled_leaf(x, settled.clone(), self.site),
            None => x.clone(),
        });
        let results = self.f.call(&args).leaves();
        part.close();
        let node = |x: &Tensor| x.on(&part).map(|(node, _)| node);
        let seeds = results.iter().zip(cts).filter_map(|(x, ct)| Some((node(x)?, ct))).collect();
        let mut gradients = pull_back(&part, part.take_nodes(), seeds, self.site);
        args.leaves().iter().map(|x| gradients.take(node(x)?)).collect()
    }
}

#[cfg(test)]
mod tests;
