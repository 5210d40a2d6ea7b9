//! `scaled_dot_product_attention`: values, weighted by how well queries meet keys.

use std::panic::Location;
use std::rc::Rc;

use super::softmax::{floats, softmax, softmax_ct};
use super::{expand_dims, matmul, squeeze, swap_dims, where_};
use crate::array::kernels::{self, Attend};
use crate::array::{Array, Dims};
use crate::bind::{bind, operands};
use crate::call::call;
use crate::dtype::DType;
use crate::error::violation;
use crate::op::{Op, Rule};
use crate::tape::Tape;
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
/// Without a mask, a head goes through in blocks of queries whose scores stay in the cache: neither scores nor weights
/// are in memory, forward or backward, and keys that are not seen cost nothing (Dao, Fu, Ermon, Rudra and Ré,
/// *FlashAttention*, 2022).
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
    let site = Location::caller();
    let refuse = |rule: String| violation("scaled_dot_product_attention", &rule, &[q, k, v], site);
    let group = group_of(q, k, v).unwrap_or_else(refuse);
    let scale = settings.scale.unwrap_or_else(|| (q.dim(-1) as f64).sqrt().recip());
    if settings.mask.is_none() && is_dense([q, k, v]) {
        let attend = Attend { scale, causal: settings.causal };
        let heads =
            if q.ndim() == 2 { [q, k, v].map(|x| expand_dims(x, 0)) } else { [q, k, v].map(Tensor::clone) };
        let taken = attention(attend, heads.each_ref(), site);
        return if q.ndim() == 2 { squeeze(&taken, 0) } else { taken };
    }
    let scores = scores(q, k, scale, group);
    let seen = match &settings.mask {
        Some(mask) if mask.dtype() == DType::Bool => where_(mask, scores, f64::NEG_INFINITY),
        Some(bias) => scores + bias,
        None => scores,
    };
    by_group(&weights(&seen, settings.causal), v, group, matmul)
}

/// Whether the operands are of one type that kernels compute in, with something in every head and nothing broadcast.
fn is_dense(operands: [&Tensor; 3]) -> bool {
    let [q, k, v] = operands;
    let front = q.ndim().saturating_sub(3);
    matches!(q.dtype(), DType::F32 | DType::F64)
        && [k, v].iter().all(|x| x.dtype() == q.dtype() && x.dims()[..front] == q.dims()[..front])
        && operands.iter().all(|x| !x.dims()[front..].contains(&0))
}

/// `q·kᵀ·scale`; the queries are smaller than the scores.
#[track_caller]
fn scores(q: &Tensor, k: &Tensor, scale: f64, group: usize) -> Tensor {
    by_group(&(q * scale), k, group, |q, k| matmul(q, &swap_dims(k, -1, -2)))
}

#[track_caller]
fn weights(scores: &Tensor, causal: bool) -> Tensor {
    if causal { causal_softmax(scores) } else { softmax(scores, -1) }
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
    let (heads, rows) = (x.dim(-3), x.dim(-2));
    with_heads(&f(&with_heads(x, heads / group, group * rows), y), heads, rows)
}

/// The same elements in so many heads of so many rows.
#[track_caller]
fn with_heads(x: &Tensor, heads: usize, rows: usize) -> Tensor {
    let front = &x.dims()[..x.ndim() - 3];
    let dims = [front, &[heads, rows, x.dim(-1)]].concat();
    x.reshape(dims)
}

/// [`scaled_dot_product_attention`] in blocks. On a tape it is a call, whose one pass backward has three results.
fn attention(settings: Attend, operands: [&Tensor; 3], site: &'static Location<'static>) -> Tensor {
    if operands.iter().all(|x| x.tape().is_none()) {
        return bind(settings, &operands);
    }
    let mut taken = call(NAME, &operands.map(Tensor::clone), site, |values| {
        let [q, k, v] = values else { unreachable!("three operands") };
        let rule = AttendRule { settings, operands: [q, k, v].map(Tensor::clone), site };
        (vec![attention(settings, [q, k, v], site)], Rc::new(rule))
    });
    taken.pop().expect("one result")
}

const NAME: &str = "scaled_dot_product_attention";

impl Op for Attend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let (dtype, mut dims) = floats(inputs[0])?;
        *dims.last_mut().expect("matrices") = *inputs[2].dims.last().expect("matrices");
        Ok((dtype, dims))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        self.apply([&inputs[0], &inputs[1], &inputs[2]])
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let [q, k, v] = inputs else { unreachable!("three operands") };
        Some(pulled(*self, [q, k, v], ct)[wrt].clone())
    }
}

/// The cotangents of all operands in one pass; on a tape in ops, which have derivatives.
struct AttendRule {
    settings: Attend,
    operands: [Tensor; 3],
    site: &'static Location<'static>,
}

impl Rule for AttendRule {
    fn pull_back(&self, _: &Tape, cts: Vec<Tensor>) -> Vec<Option<Tensor>> {
        let [q, k, v] = self.operands.each_ref();
        let all = [q, k, v, &cts[0]];
        if all.iter().any(|x| x.tape().is_some()) {
            return pulled(self.settings, [q, k, v], &cts[0]).map(Some).into();
        }
        let (arrays, axes) = operands(&self.settings, &all, self.site);
        let back = self.settings.pull([&arrays[0], &arrays[1], &arrays[2]], &arrays[3]);
        back.map(|array| Some(Tensor::ground(array, axes.clone()))).into()
    }
}

/// The cotangents of queries, keys and values, in ops. Where a weight is zero, so is what comes back to its score.
#[track_caller]
fn pulled(settings: Attend, [q, k, v]: [&Tensor; 3], ct: &Tensor) -> [Tensor; 3] {
    let group = q.dim(-3) / k.dim(-3);
    let weights = weights(&scores(q, k, settings.scale, group), settings.causal);
    let back = by_group(ct, v, group, |ct, v| matmul(ct, &swap_dims(v, -1, -2)));
    let back = softmax_ct(&weights, &back) * settings.scale;
    let by_key = |x: &Tensor, y: &Tensor| {
        let [x, y] = [x, y].map(|x| with_heads(x, k.dim(-3), group * x.dim(-2)));
        matmul(&swap_dims(&x, -1, -2), &y)
    };
    [by_group(&back, k, group, matmul), by_key(&back, q), by_key(&weights, ct)]
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
    use crate::check::{check_grads, check_lanes, same_bits};
    use crate::function::{A0, A1, A2};
    use crate::grad;
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

    /// With a mask that hides nothing, attention is composed of products and a softmax.
    fn composed(q: &Tensor, k: &Tensor, v: &Tensor, settings: &Attention) -> Tensor {
        let all = tri(q.dim(-2), k.dim(-2), k.dim(-2) as isize);
        scaled_dot_product_attention(q, k, v, &Attention { mask: Some(all), ..settings.clone() })
    }

    #[test]
    fn blocks_and_tiles_are_what_ops_give() {
        for (h, g, t, s, d, e) in [
            (1, 1, 1, 1, 1, 1),
            (2, 1, 47, 50, 3, 17),
            (4, 2, 50, 49, 8, 5),
            (2, 2, 131, 131, 32, 33),
            (1, 1, 9, 100, 2, 2),
        ] {
            let (q, k, v) = (waves(&[2, h, t, d], 0.2), waves(&[2, g, s, d], 0.5), waves(&[2, g, s, e], 0.9));
            let ct = waves(&[2, h, t, e], 0.7);
            for settings in [causal(), Attention { scale: Some(-0.3), ..Attention::default() }] {
                type Of = fn(&Tensor, &Tensor, &Tensor, &Attention) -> Tensor;
                let [ours, ops] = [scaled_dot_product_attention as Of, composed].map(|f| {
                    let loss = |q: &Tensor, k: &Tensor, v: &Tensor| (f(q, k, v, &settings) * &ct).sum(());
                    let (dq, dk, dv) = grad(loss).argnums::<(A0, A1, A2)>().at((&q, &k, &v));
                    [f(&q, &k, &v, &settings), dq, dk, dv]
                });
                ours.iter().zip(&ops).for_each(|(a, b)| close(a, b));
            }
        }
    }

    #[test]
    fn any_layout() {
        let (q, k, v) = (waves(&[9, 2, 4], 0.2), waves(&[9, 2, 4], 0.5), waves(&[4, 2, 9], 0.9));
        let heads = [swap_dims(&q, 0, 1), swap_dims(&k, 0, 1), swap_dims(&swap_dims(&v, 0, 2), 0, 1)];
        let [q, k, v] = heads.each_ref();
        let copies = heads.each_ref().map(|x| Tensor::from(crate::array::kernels::copy(&x.to_array())));
        let apart = scaled_dot_product_attention(q, k, v, &causal());
        let together = scaled_dot_product_attention(&copies[0], &copies[1], &copies[2], &causal());
        assert!(same_bits(&apart.to_array(), &together.to_array()));
    }

    #[test]
    fn no_key_is_no_number_and_nothing_is_empty() {
        let none = Attention { mask: Some(tri(2, 2, -1)), ..Attention::default() };
        let x = waves(&[2, 2], 0.1);
        let rows = scaled_dot_product_attention(&x, &x, &x, &none).to_vec::<f64>();
        assert!(rows[0].is_nan() && rows[1].is_nan() && !rows[2].is_nan());
        let empty = waves(&[0, 2], 0.1);
        assert_eq!(scaled_dot_product_attention(&empty, &x, &x, &causal()).dims(), [0, 2]);
        let bad = Tensor::from([[f64::NAN, 0.0], [1.0, 2.0]]);
        let rows = scaled_dot_product_attention(&x, &bad, &x, &Attention::default()).to_vec::<f64>();
        assert!(rows.iter().all(|x| x.is_nan()));
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
