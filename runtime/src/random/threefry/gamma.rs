//! The gamma distribution: G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables", ACM
//! Transactions on Mathematical Software 26 (2000).

use std::ops::Range;

use super::distributions::Float;
use super::{Key, Layout, bits, exponential, normal, uniform};

/// Gamma with the shapes `shapes` and scale 1, at the global indices `range` of `total` draws; there is a shape for
/// each index of the range.
pub fn gamma<F: Float>(key: Key, layout: Layout, shapes: &[F], total: usize, range: Range<usize>) -> Vec<F> {
    let boost = |shape: f64, key: Key| {
        let [u] = one(uniform::<F>(key, layout, [0.0, 1.0].map(F::from_f64), 1, 0..1));
        (1.0 - u).powf(1.0 / shape)
    };
    each(
        key,
        layout,
        shapes,
        total,
        range,
        |shape, body, key| {
            if shape >= 1.0 { body } else { body * boost(shape, key) }
        },
    )
}

/// The logarithm of the same draws, which does not underflow for small shapes.
pub fn log_gamma<F: Float>(
    key: Key,
    layout: Layout,
    shapes: &[F],
    total: usize,
    range: Range<usize>,
) -> Vec<F> {
    let log_boost = |shape: f64, key: Key| {
        let [e] = one(exponential::<F>(key, layout, 1, 0..1));
        if e == 0.0 { 0.0 } else { -e / shape }
    };
    each(key, layout, shapes, total, range, |shape, body, key| {
        if shape >= 1.0 { body.ln() } else { body.ln() + log_boost(shape, key) }
    })
}

/// `finish` of each shape, of a draw for that shape, or for the shape plus 1 where it is less than 1, and of a key
/// for what then brings that down: with u uniform, gamma(a) is gamma(a + 1)·u^(1/a).
fn each<F: Float>(
    key: Key,
    layout: Layout,
    shapes: &[F],
    total: usize,
    range: Range<usize>,
    finish: impl Fn(f64, f64, Key) -> f64,
) -> Vec<F> {
    let keys = bits::split(key, layout, total, range);
    let draw = |(key, shape): (Key, &F)| {
        let shape = shape.to_f64();
        let [key, rest] = pair(key, layout);
        F::from_f64(finish(
            shape,
            large::<F>(key, layout, if shape >= 1.0 { shape } else { shape + 1.0 }),
            rest,
        ))
    };
    keys.into_iter().zip(shapes).map(draw).collect()
}

/// A draw for a shape of 1 or more: d·v with v = (1 + c·x)³ of a normal x, if a uniform u lets it pass.
fn large<F: Float>(mut key: Key, layout: Layout, shape: f64) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / 3.0 / d.sqrt();
    loop {
        let keys = key.split_in(layout, 3);
        key = keys[0];
        let (x, root) = positive::<F>(keys[1], layout, c);
        let (square, v) = (x * x, root * root * root);
        let [u] = one(uniform::<F>(keys[2], layout, [0.0, 1.0].map(F::from_f64), 1, 0..1));
        if u < 1.0 - 0.0331 * square * square || u.ln() < 0.5 * square + d * (1.0 - v + v.ln()) {
            return d * v;
        }
    }
}

/// The first normal x for which 1 + c·x is positive, and that.
fn positive<F: Float>(mut key: Key, layout: Layout, c: f64) -> (f64, f64) {
    loop {
        let [next, own] = pair(key, layout);
        let [x] = one(normal::<F>(own, layout, 1, 0..1));
        if 1.0 + x * c > 0.0 {
            return (x, 1.0 + x * c);
        }
        key = next;
    }
}

fn pair(key: Key, layout: Layout) -> [Key; 2] {
    let keys = key.split_in(layout, 2);
    [keys[0], keys[1]]
}

fn one<F: Float>(draws: Vec<F>) -> [f64; 1] {
    [draws[0].to_f64()]
}
