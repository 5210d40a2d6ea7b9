//! `scaled_dot_product_attention`: values, weighted by how well queries meet keys.

use std::panic::Location;

use super::softmax::{floats, softmax, softmax_ct};
use super::{matmul, swap_dims, where_};
use crate::array::kernels;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The settings of [`scaled_dot_product_attention`]; the default is all keys for every query.
#[derive(Clone, Debug, Default)]
pub struct Attention {
    /// Whether query `i` sees keys `0..=i` only.
    pub causal: bool,
    /// Which keys a query sees, as bools, or what is added to their scores, as floats: `[..,t,s]`, broadcast.
    pub mask: Option<Tensor>,
    /// What scores are multiplied by, if not by `1/√d`.
    pub scale: Option<f64>,
}

/// `softmax(q·kᵀ·scale + mask)·v` for each head: `f32[..,h,t,d], f32[..,g,s,d], f32[..,g,s,e] -> f32[..,h,t,e]`
/// (Vaswani et al., *Attention is all you need*, 2017).
///
/// With fewer heads `g` of keys and values, each serves `h/g` neighbouring heads of queries (Ainslie et al., *GQA*,
/// 2023). Without a head dim all is one head. A query that sees no key gives NaN.
///
/// # Panics
/// If the dims do not agree as above, or the operands are not floats.
///
/// ```
/// use axisgrad::{Tensor, ops::{Attention, scaled_dot_product_attention}};
/// let (q, v) = (Tensor::from([[0.0], [0.0]]), Tensor::from([[1.0], [3.0]]));
/// let causal = Attention { causal: true, ..Attention::default() };
/// assert_eq!(scaled_dot_product_attention(&q, &q, &v, &causal).to_vec::<f64>(), [1.0, 2.0]);
/// ```
#[track_caller]
pub fn scaled_dot_product_attention(q: &Tensor, k: &Tensor, v: &Tensor, settings: &Attention) -> Tensor {
    let group = group_of(q, k, v).unwrap_or_else(|rule| {
        violation("scaled_dot_product_attention", &rule, &[q, k, v], Location::caller())
    });
    let scale = settings.scale.unwrap_or_else(|| (q.dim(-1) as f64).sqrt().recip());
    // The queries are smaller than the scores.
    let scores = by_group(&(q * scale), k, group, |q, k| matmul(q, &swap_dims(k, -1, -2)));
    let seen = match &settings.mask {
        Some(mask) if mask.dtype() == DType::Bool => where_(mask, scores, f64::NEG_INFINITY),
        Some(bias) => scores + bias,
        None => scores,
    };
    let weights = if settings.causal { causal_softmax(&seen) } else { softmax(&seen, -1) };
    by_group(&weights, v, group, matmul)
}

/// How many heads of queries share a head of keys and values.
fn group_of(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<usize, String> {
    if q.ndim() < 2 || k.ndim() != q.ndim() || v.ndim() != q.ndim() {
        return Err("queries, keys and values need as many dims as one another, and two or more".to_owned());
    }
    if q.dim(-1) != k.dim(-1) || k.dim(-2) != v.dim(-2) {
        return Err(
            "queries and keys differ in their last dim, or keys and values in their number".to_owned()
        );
    }
    if q.ndim() == 2 {
        return Ok(1);
    }
    let (heads, groups) = (q.dim(-3), k.dim(-3));
    if groups == 0 || v.dim(-3) != groups || heads % groups != 0 {
        return Err(format!(
            "{heads} heads of queries do not share {groups} of keys and {} of values",
            v.dim(-3)
        ));
    }
    Ok(heads / groups)
}

/// `f` of `x` and `y` where each head of `y` serves `group` heads of `x`: their rows count as rows of one head.
#[track_caller]
fn by_group(x: &Tensor, y: &Tensor, group: usize, f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
    if group == 1 {
        return f(x, y);
    }
    let at = x.ndim() - 3;
    let (front, heads, rows) = (&x.dims()[..at], x.dims()[at], x.dims()[at + 1]);
    let dims = |heads: usize, rows: usize, last: usize| -> Vec<isize> {
        front.iter().chain(&[heads, rows, last]).map(|&n| n as isize).collect()
    };
    let together = f(&x.reshape(dims(heads / group, group * rows, x.dim(-1))), y);
    together.reshape(dims(heads, rows, together.dim(-1)))
}

/// The softmax along the last dim of the first `i + 1` elements of row `i`, and zeros after them:
/// `f32[..,t,s] -> f32[..,t,s]`.
#[track_caller]
fn causal_softmax(x: &Tensor) -> Tensor {
    bind(CausalSoftmax, &[x])
}

/// See [`causal_softmax`].
struct CausalSoftmax;

impl Op for CausalSoftmax {
    fn name(&self) -> &'static str {
        "scaled_dot_product_attention"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        floats(inputs[0])
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::causal_softmax(&inputs[0])
    }

    /// Where the value is zero, so is what comes back.
    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], output: &Tensor) -> Option<Tensor> {
        Some(softmax_ct(output, ct))
    }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::ops::{concat, expand_dims, tri};

    fn causal() -> Attention {
        Attention { causal: true, ..Attention::default() }
    }

    #[track_caller]
    fn close(a: &Tensor, b: &Tensor) {
        assert_eq!(a.dims(), b.dims());
        let pairs = a.to_vec::<f64>().into_iter().zip(b.to_vec::<f64>());
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-13, "{a} and {b}"));
    }

    #[test]
    fn one_query_at_a_time() {
        let (q, k, v) = (waves(&[2, 3, 4], 0.2), waves(&[2, 5, 4], 0.5), waves(&[2, 5, 6], 0.9));
        let all = scaled_dot_product_attention(&q, &k, &v, &Attention::default());
        assert_eq!(all.dims(), [2, 3, 6]);
        let (k1, v1) = (k.index(0, 1), v.index(0, 1));
        let weights = (k1.dot(&q.index(0, 1).index(0, 2)) * 0.5).softmax(0);
        close(&all.index(0, 1).index(0, 2), &weights.dot(&v1));
        let seen = scaled_dot_product_attention(&q, &k, &v, &causal()).index(0, 1).index(0, 1);
        let weights = (k1.slice(0, ..2).dot(&q.index(0, 1).index(0, 1)) * 0.5).softmax(0);
        close(&seen, &weights.dot(&v1.slice(0, ..2)));
    }

    #[test]
    fn masks() {
        let (q, k, v) = (waves(&[2, 4, 3], 0.2), waves(&[2, 4, 3], 0.5), waves(&[2, 4, 3], 0.9));
        let with = |mask: Tensor| Attention { mask: Some(mask), ..Attention::default() };
        let bools = scaled_dot_product_attention(&q, &k, &v, &with(tri(4, 4, 0)));
        close(&bools, &scaled_dot_product_attention(&q, &k, &v, &causal()));
        let floats = where_(tri(4, 4, 0), 0.0, f64::NEG_INFINITY);
        close(&bools, &scaled_dot_product_attention(&q, &k, &v, &with(floats)));
    }

    #[test]
    fn heads_share_keys_and_values() {
        let (q, k, v) = (waves(&[4, 3, 2], 0.2), waves(&[2, 3, 2], 0.5), waves(&[2, 3, 5], 0.9));
        let twice = |x: &Tensor| {
            let heads = [0, 0, 1, 1].map(|head| expand_dims(&x.index(0, head), 0));
            concat(&heads.each_ref(), 0)
        };
        let repeated = scaled_dot_product_attention(&q, &twice(&k), &twice(&v), &causal());
        close(&scaled_dot_product_attention(&q, &k, &v, &causal()), &repeated);
    }

    #[test]
    fn derivatives_and_lanes() {
        let (q, k, v) = (waves(&[2, 3, 2], 0.2), waves(&[1, 3, 2], 0.5), waves(&[1, 3, 2], 0.9));
        for settings in [causal(), Attention { scale: Some(0.3), ..Attention::default() }] {
            let f =
                |q: &Tensor, k: &Tensor, v: &Tensor| scaled_dot_product_attention(q, k, v, &settings).sin();
            check_grads(f, (&q, &k, &v), 2);
            let (q, k, v) = (waves(&[5, 2, 9, 4], 0.2), waves(&[5, 2, 9, 4], 0.5), waves(&[5, 2, 9, 4], 0.9));
            check_lanes(f, (&q, &k, &v));
        }
    }

    #[test]
    #[should_panic(expected = "3 heads of queries do not share 2 of keys and 2 of values")]
    fn heads_divide() {
        let (q, k) = (waves(&[3, 2, 2], 0.0), waves(&[2, 2, 2], 0.0));
        scaled_dot_product_attention(&q, &k, &k, &Attention::default());
    }
}
