//! `einsum`: sums of products, written with a letter for each dim.

use std::panic::Location;

use smallvec::SmallVec;

use super::dot::contraction;
use super::permute::{move_dim, permuted};
use super::reduce::sum_dims;
use super::reshape::reshaped;
use super::slice::slice_step;
use crate::array::Dims;
use crate::array::kernels::{DotDims, Pairs};
use crate::error::violation;
use crate::tensor::Tensor;

type Site = &'static Location<'static>;

/// The letters of a tensor's dims. Dims under an ellipsis get letters of their own, which no specification has.
type Labels = SmallVec<[char; 6]>;

/// Einstein's sum: a letter for each dim of each operand and of the result; what has the same letter runs together,
/// and letters that the result lacks are summed over.
///
/// `einsum("bi,ij->bj", [&x, &w])`: `T[b,i], T[i,j] -> T[b,j]`. A letter twice in one operand takes its diagonal
/// (`"ii->i"`, `"ii->"`); `...` stands for all other dims; without `->` the result has the letters that occur once,
/// in alphabetical order. More than two operands are multiplied from left to right.
///
/// # Panics
/// If the specification does not fit the operands, a letter has two sizes, or the result has a letter twice or one
/// that no operand has.
///
/// ```
/// use axisgrad::{Tensor, ops::einsum};
/// let (x, w) = (Tensor::from([[1.0, 2.0]]), Tensor::from([[3.0, 4.0], [5.0, 6.0]]));
/// assert_eq!(einsum("bi,ij->bj", [&x, &w]).to_vec::<f64>(), [13.0, 16.0]);
/// assert_eq!(einsum("ii", [&w]).item::<f64>(), 9.0);
/// ```
#[track_caller]
pub fn einsum<'a>(spec: &str, operands: impl AsRef<[&'a Tensor]>) -> Tensor {
    let (operands, site) = (operands.as_ref(), Location::caller());
    let plan = Plan::new(spec, operands).unwrap_or_else(|rule| violation("einsum", &rule, operands, site));
    let mut terms = operands.iter().zip(&plan.inputs).map(|(x, labels)| Term::new(x, labels.clone()));
    let mut product = terms.next().expect("an operand");
    for (i, term) in terms.enumerate() {
        let wanted = |label: &char| plan.wanted_after(i + 1, *label);
        product = product.times(term, &wanted, site);
    }
    product.in_order(&plan.output)
}

/// What a specification says about the operands at hand.
struct Plan {
    inputs: Vec<Labels>,
    output: Labels,
}

impl Plan {
    fn new(spec: &str, operands: &[&Tensor]) -> Result<Self, String> {
        let spec: String = spec.chars().filter(|c| !c.is_whitespace()).collect();
        let (inputs, output) =
            spec.split_once("->").map_or((&spec[..], None), |(inputs, output)| (inputs, Some(output)));
        let terms: Vec<&str> = inputs.split(',').collect();
        if terms.len() != operands.len() {
            return Err(format!("`{spec}` names {} operands, and there are {}", terms.len(), operands.len()));
        }
        let inputs = (0..terms.len())
            .map(|i| labels_of(terms[i], i, operands[i].ndim()))
            .collect::<Result<Vec<_>, _>>()?;
        check_sizes(&inputs, operands)?;
        let output = match output {
            Some(output) => named_output(output, &inputs)?,
            None => implied_output(&inputs),
        };
        Ok(Self { inputs, output })
    }

    /// Whether the result or an operand after the `i`-th has the letter.
    fn wanted_after(&self, i: usize, label: char) -> bool {
        self.output.contains(&label) || self.inputs[i + 1..].iter().any(|labels| labels.contains(&label))
    }
}

/// The letter for the `i`-th dim, from the end, of those under an ellipsis.
fn hidden(i: usize) -> char {
    char::from_u32(0xE000 + i as u32).expect("a private character")
}

fn is_hidden(label: &char) -> bool {
    *label >= hidden(0)
}

fn letters(term: &str) -> Result<Labels, String> {
    match term.chars().find(|c| !c.is_alphabetic()) {
        Some(c) => Err(format!("`{c}` in `{term}` is no letter")),
        None => Ok(term.chars().collect()),
    }
}

fn labels_of(term: &str, operand: usize, ndim: usize) -> Result<Labels, String> {
    let (before, after) = term.split_once("...").unwrap_or((term, ""));
    let (mut labels, after) = (letters(before)?, letters(after)?);
    let named = labels.len() + after.len();
    if named > ndim || (named < ndim && !term.contains("...")) {
        return Err(format!("`{term}` names {named} dims, and operand {operand} has {ndim}"));
    }
    labels.extend((0..ndim - named).rev().map(hidden));
    labels.extend(after);
    Ok(labels)
}

fn check_sizes(inputs: &[Labels], operands: &[&Tensor]) -> Result<(), String> {
    let mut known: Vec<(char, usize)> = Vec::new();
    for (labels, x) in inputs.iter().zip(operands) {
        for (&label, &size) in labels.iter().zip(x.dims()) {
            match known.iter().find(|(other, _)| *other == label) {
                Some((_, other)) if *other != size => {
                    let name =
                        if is_hidden(&label) { "a dim under `...`".to_owned() } else { format!("`{label}`") };
                    return Err(format!("{name} has sizes {other} and {size}"));
                }
                Some(_) => {}
                None => known.push((label, size)),
            }
        }
    }
    Ok(())
}

fn named_output(output: &str, inputs: &[Labels]) -> Result<Labels, String> {
    let (before, after) = output.split_once("...").unwrap_or((output, ""));
    let (mut labels, after) = (letters(before)?, letters(after)?);
    if output.contains("...") {
        labels.extend(hidden_labels(inputs));
    }
    labels.extend(after);
    for (i, label) in labels.iter().enumerate() {
        if labels[..i].contains(label) {
            return Err(format!("the result has `{label}` twice"));
        }
        if !inputs.iter().any(|input| input.contains(label)) {
            return Err(format!("the result has `{label}`, and no operand has"));
        }
    }
    Ok(labels)
}

/// All letters under ellipses, the first dim first.
fn hidden_labels(inputs: &[Labels]) -> Labels {
    let most = inputs.iter().map(|labels| labels.iter().filter(|label| is_hidden(label)).count()).max();
    (0..most.unwrap_or(0)).rev().map(hidden).collect()
}

fn implied_output(inputs: &[Labels]) -> Labels {
    let all = || inputs.iter().flatten();
    let mut once: Labels =
        all().filter(|a| !is_hidden(a) && all().filter(|b| a == b).count() == 1).copied().collect();
    once.sort_unstable();
    hidden_labels(inputs).into_iter().chain(once).collect()
}

/// A tensor and the letters of its dims, each once.
struct Term {
    x: Tensor,
    labels: Labels,
}

impl Term {
    #[track_caller]
    fn new(x: &Tensor, labels: Labels) -> Self {
        let mut term = Self { x: x.clone(), labels };
        while let Some((i, j)) = term.repeated() {
            term.x = diagonal(&term.x, i, j);
            let label = term.labels[i];
            term.labels.remove(j);
            term.labels.remove(i);
            term.labels.push(label);
        }
        term
    }

    fn repeated(&self) -> Option<(usize, usize)> {
        let pairs = (0..self.labels.len()).flat_map(|j| (0..j).map(move |i| (i, j)));
        pairs.into_iter().find(|&(i, j)| self.labels[i] == self.labels[j])
    }

    /// Summed over all letters but the wanted ones.
    #[track_caller]
    fn keeping(self, wanted: impl Fn(&char) -> bool) -> Self {
        let summed: Dims = (0..self.labels.len()).filter(|&dim| !wanted(&self.labels[dim])).collect();
        if summed.is_empty() {
            return self;
        }
        Self {
            x: sum_dims(&self.x, &summed),
            labels: self.labels.into_iter().filter(|label| wanted(label)).collect(),
        }
    }

    /// The product with `other`, summed over the letters that are not wanted.
    #[track_caller]
    fn times(self, other: Self, wanted: &dyn Fn(&char) -> bool, site: Site) -> Self {
        let a = self.labels.clone();
        let other = other.keeping(|label| wanted(label) || a.contains(label));
        let b = other.labels;
        let this = self.keeping(|label| wanted(label) || b.contains(label));
        let a = this.labels;
        let both = a
            .iter()
            .enumerate()
            .filter_map(|(i, label)| Some((i, b.iter().position(|other| other == label)?)));
        let (batch, contract): (Pairs, Pairs) = both.partition(|&(i, _)| wanted(&a[i]));
        let labels = batch.iter().map(|&(i, _)| a[i]);
        let labels = labels.chain(a.iter().copied().filter(|label| !b.contains(label)));
        let labels = labels.chain(b.iter().copied().filter(|label| !a.contains(label))).collect();
        Self { x: contraction(&this.x, &other.x, DotDims { batch, contract }, site), labels }
    }

    #[track_caller]
    fn in_order(self, output: &Labels) -> Tensor {
        let this = self.keeping(|label| output.contains(label));
        let place = |label: &char| {
            this.labels.iter().position(|other| other == label).expect("a letter of an operand")
        };
        permuted(&this.x, output.iter().map(place).collect())
    }
}

/// The elements whose positions in dims `i < j`, of one size, are equal: along a last dim.
#[track_caller]
fn diagonal(x: &Tensor, i: usize, j: usize) -> Tensor {
    let size = x.dims()[i];
    let last = move_dim(&move_dim(x, j as isize, -1), i as isize, -1);
    let mut dims = Dims::from_slice(&last.dims()[..x.ndim() - 2]);
    dims.push(size * size);
    slice_step(&reshaped(&last, dims), -1, .., size + 1)
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    /// Every assignment of positions to letters, one product at a time. All operands have dims of `sizes`.
    fn naive(inputs: &[&str], output: &str, sizes: &dyn Fn(char) -> usize, values: &[Vec<f64>]) -> Vec<f64> {
        let mut letters: Vec<char> = inputs.concat().chars().collect();
        letters.sort_unstable();
        letters.dedup();
        let mut out = vec![0.0; output.chars().map(sizes).product()];
        for mut rest in 0..letters.iter().map(|&c| sizes(c)).product::<usize>() {
            let mut at = std::collections::HashMap::new();
            for &c in &letters {
                at.insert(c, rest % sizes(c));
                rest /= sizes(c);
            }
            let flat = |term: &str| term.chars().fold(0, |flat, c| flat * sizes(c) + at[&c]);
            out[flat(output)] += inputs.iter().zip(values).map(|(term, x)| x[flat(term)]).product::<f64>();
        }
        out
    }

    fn size(letter: char) -> usize {
        letter as usize % 3 + 2
    }

    #[track_caller]
    fn agrees(spec: &str) {
        let (inputs, output) = spec.split_once("->").unwrap();
        let terms: Vec<&str> = inputs.split(',').collect();
        let dims = |term: &str| term.chars().map(size).collect::<Vec<_>>();
        let xs: Vec<Tensor> =
            terms.iter().enumerate().map(|(i, term)| waves(&dims(term), i as f64)).collect();
        let values: Vec<_> = xs.iter().map(|x| x.to_vec::<f64>()).collect();
        let result = einsum(spec, xs.iter().collect::<Vec<_>>());
        assert_eq!(result.dims(), dims(output), "{spec}");
        let expected = naive(&terms, output, &size, &values);
        for (a, b) in result.to_vec::<f64>().iter().zip(expected) {
            assert!((a - b).abs() < 1e-11, "{spec}: {a} and {b}");
        }
    }

    #[test]
    fn it_is_the_sum_over_all_positions() {
        for spec in [
            "ij->ji",
            "ij->i",
            "ij->",
            "ii->i",
            "ii->",
            "iji->j",
            "iijj->ij",
            "bi,ij->bj",
            "i,j->ij",
            "i,i->",
            "ij,ij->ij",
            "ij,jk->ki",
            "bij,bjk->bik",
            "ijk,lkj->il",
            "ij,k->",
            "bqhd,bkhd->bhqk",
            "ii,i->i",
            "ij,jk,kl->il",
            "i,ij,j->",
        ] {
            agrees(spec);
        }
    }

    #[test]
    fn short_forms() {
        let (x, y) = (waves(&[2, 3, 4], 0.1), waves(&[4, 5], 0.2));
        let long = einsum("abi,ij->abj", [&x, &y]);
        assert_eq!(einsum("...i, ij -> ...j", [&x, &y]).to_vec::<f64>(), long.to_vec::<f64>());
        assert_eq!(einsum("...ij,jk", [&x, &y]).dims(), [2, 3, 5]);
        assert_eq!(einsum("ba", [&y]).dims(), [5, 4]);
        assert_eq!(einsum("i...", [&x]).dims(), [3, 4, 2]);
    }

    #[test]
    #[should_panic(expected = "einsum: `i` has sizes 2 and 3")]
    fn a_letter_has_one_size() {
        einsum("i,i->i", [&waves(&[2], 0.0), &waves(&[3], 0.0)]);
    }

    #[test]
    #[should_panic(expected = "einsum: `ijk` names 3 dims, and operand 0 has 2")]
    fn letters_and_dims_agree() {
        einsum("ijk->i", [&waves(&[2, 2], 0.0)]);
    }

    #[test]
    #[should_panic(expected = "einsum: the result has `z`, and no operand has")]
    fn the_result_has_letters_of_the_operands() {
        einsum("ij->iz", [&waves(&[2, 2], 0.0)]);
    }

    #[test]
    #[should_panic(expected = "einsum: `i,j` names 2 operands, and there are 1")]
    fn each_operand_has_a_term() {
        einsum("i,j", [&waves(&[2], 0.0)]);
    }

    #[test]
    fn derivatives_and_lanes() {
        let (x, y) = (waves(&[2, 3, 2], 0.1), waves(&[3, 2], 0.2));
        let (xs, ys) = (waves(&[5, 2, 3, 2], 0.4), waves(&[5, 3, 2], 0.3));
        for spec in ["iji,jk->jk", "ijk,jk->i", "ijk,jl->kl"] {
            check_grads(move |x: &Tensor, y: &Tensor| einsum(spec, [x, y]).sin(), (&x, &y), 2);
            check_lanes(move |x: &Tensor, y: &Tensor| einsum(spec, [x, y]), (&xs, &ys));
        }
    }
}
