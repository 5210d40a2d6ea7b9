//! The maps of Winograd's minimal filtering, over lanes side by side.

use std::marker::PhantomData;

use super::STEP;
use crate::array::kernels::vectors::Loop;

/// `Bᵀ`.
const SEEN: [[f32; 6]; 6] = [
    [1.0, -1.5, -2.0, 1.5, 1.0, 0.0],
    [0.0, -1.0, 2.5, -0.5, -1.0, 0.0],
    [0.0, -1.0, 0.5, 2.5, 1.0, 0.0],
    [0.0, 2.0, 1.0, -2.0, -1.0, 0.0],
    [0.0, 1.0, -2.0, -1.0, 2.0, 0.0],
    [0.0, 1.0, -1.5, -2.0, 1.5, 1.0],
];

/// `G`.
const KERNEL: [[f32; 3]; 6] = [
    [1.0, 0.0, 0.0],
    [1.0 / 3.0, -1.0 / 3.0, 1.0 / 3.0],
    [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0],
    [16.0 / 15.0, 8.0 / 15.0, 4.0 / 15.0],
    [1.0 / 30.0, -1.0 / 15.0, 2.0 / 15.0],
    [0.0, 0.0, 1.0],
];

/// `A`.
const RESULT: [[f32; 4]; 6] = [
    [1.0, 0.0, 0.0, 0.0],
    [1.0, -1.0, 1.0, -1.0],
    [1.0, 1.0, 1.0, 1.0],
    [1.0, 0.5, 0.25, 0.125],
    [1.0, -2.0, 4.0, -8.0],
    [0.0, 0.0, 0.0, 1.0],
];

/// A map of three, four or six places to six, and its transpose.
pub(super) trait Map<const P: usize> {
    fn spread(x: [f32; P]) -> [f32; 6];
    fn collect(x: [f32; 6]) -> [f32; P];
}

/// For what a tile sees.
pub(super) struct Seen;
/// For kernels.
pub(super) struct Kernel;
/// For results.
pub(super) struct Results;

impl Map<6> for Seen {
    #[inline(always)]
    fn spread(x: [f32; 6]) -> [f32; 6] {
        let [a, b, c, d, e, f] = SEEN;
        [dot(a, x), dot(b, x), dot(c, x), dot(d, x), dot(e, x), dot(f, x)]
    }
    #[inline(always)]
    fn collect(x: [f32; 6]) -> [f32; 6] {
        let [a, b, c, d, e, f] = const { turned(SEEN) };
        [dot(a, x), dot(b, x), dot(c, x), dot(d, x), dot(e, x), dot(f, x)]
    }
}

impl Map<3> for Kernel {
    #[inline(always)]
    fn spread(x: [f32; 3]) -> [f32; 6] {
        let [a, b, c, d, e, f] = KERNEL;
        [dot(a, x), dot(b, x), dot(c, x), dot(d, x), dot(e, x), dot(f, x)]
    }
    #[inline(always)]
    fn collect(x: [f32; 6]) -> [f32; 3] {
        let [a, b, c] = const { turned(KERNEL) };
        [dot(a, x), dot(b, x), dot(c, x)]
    }
}

impl Map<4> for Results {
    #[inline(always)]
    fn spread(x: [f32; 4]) -> [f32; 6] {
        let [a, b, c, d, e, f] = RESULT;
        [dot(a, x), dot(b, x), dot(c, x), dot(d, x), dot(e, x), dot(f, x)]
    }
    #[inline(always)]
    fn collect(x: [f32; 6]) -> [f32; 4] {
        let [a, b, c, d] = const { turned(RESULT) };
        [dot(a, x), dot(b, x), dot(c, x), dot(d, x)]
    }
}

const fn turned<const P: usize>(matrix: [[f32; P]; 6]) -> [[f32; 6]; P] {
    let mut turned = [[0.0; 6]; P];
    let mut at = 0;
    while at < 6 * P {
        turned[at % P][at / P] = matrix[at / P][at % P];
        at += 1;
    }
    turned
}

/// The sum of the terms whose factor, a constant, is not zero.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn dot<const N: usize>(factors: [f32; N], x: [f32; N]) -> f32 {
    let (mut sum, mut any) = (0.0, false);
    for i in 0..N {
        if factors[i] != 0.0 {
            sum = if any { sum + factors[i] * x[i] } else { factors[i] * x[i] };
            any = true;
        }
    }
    sum
}

/// `M t Mᵀ` for tiles of `P`×`P` places `t` of the lines, [`STEP`] places apart; each of the 36 places of `to` begins
/// `place` elements behind the one before. `half` has room for what is transformed along columns alone.
pub(super) struct Spread<'a, M, const P: usize> {
    pub lines: &'a [f32],
    pub half: &'a mut [f32],
    pub to: &'a mut [f32],
    pub lanes: usize,
    pub place: usize,
    pub tiles: usize,
    pub map: PhantomData<M>,
}

impl<M: Map<P>, const P: usize> Loop for Spread<'_, M, P> {
    type Result = ();
    #[inline(always)]
    fn run(self) {
        let Self { lines, half, to, lanes, place, tiles, .. } = self;
        let line = (STEP * (tiles - 1) + P) * lanes;
        each_lane::<P, 6, false>(M::spread, slices(lines, line, line), slices_mut(half, line, line));
        for (half, row) in half.chunks_exact(line).zip(0..6) {
            for i in 0..tiles {
                let to = &mut to[i * lanes + 6 * row * place..];
                each_lane::<P, 6, false>(
                    M::spread,
                    slices(&half[STEP * i * lanes..], lanes, lanes),
                    slices_mut(to, place, lanes),
                );
            }
        }
    }
}

/// The transpose of [`Spread`], `Mᵀ t M`, written to the lines or added; `half` has room for a tile that is transformed along rows alone.
pub(super) struct Collect<'a, M, const P: usize> {
    pub from: &'a [f32],
    pub half: &'a mut [f32],
    pub lines: &'a mut [f32],
    pub lanes: usize,
    pub place: usize,
    pub tiles: usize,
    pub add: bool,
    pub map: PhantomData<M>,
}

impl<M: Map<P>, const P: usize> Loop for Collect<'_, M, P> {
    type Result = ();
    #[inline(always)]
    fn run(self) {
        let Self { from, half, lines, lanes, place, tiles, add, .. } = self;
        let (line, row) = ((STEP * (tiles - 1) + P) * lanes, P * lanes);
        for i in 0..tiles {
            for (half, a) in half.chunks_exact_mut(row).zip(0..6) {
                let from = slices(&from[i * lanes + 6 * a * place..], place, lanes);
                each_lane::<6, P, false>(M::collect, from, slices_mut(half, lanes, lanes));
            }
            let (from, to) = (slices(half, row, row), slices_mut(&mut lines[STEP * i * lanes..], line, row));
            if add {
                each_lane::<6, P, true>(M::collect, from, to);
            } else {
                each_lane::<6, P, false>(M::collect, from, to);
            }
        }
    }
}

/// The first `len` elements of each `step`.
#[inline(always)]
fn slices<const N: usize>(data: &[f32], step: usize, len: usize) -> [&[f32]; N] {
    let mut slices = [&[][..]; N];
    for (slice, data) in slices.iter_mut().zip(data.chunks(step)) {
        *slice = &data[..len];
    }
    slices
}

/// As [`slices`].
#[inline(always)]
fn slices_mut<const N: usize>(data: &mut [f32], step: usize, len: usize) -> [&mut [f32]; N] {
    let mut slices: [&mut [f32]; N] = std::array::from_fn(|_| &mut [][..]);
    for (slice, data) in slices.iter_mut().zip(data.chunks_mut(step)) {
        *slice = &mut data[..len];
    }
    slices
}

/// `to = map(from)`, lane by lane, or `to += map(from)`.
#[inline(always)]
fn each_lane<const I: usize, const O: usize, const ADD: bool>(
    map: impl Fn([f32; I]) -> [f32; O],
    from: [&[f32]; I],
    to: [&mut [f32]; O],
) {
    let mut to = to.into_iter();
    let mut next = || to.next().unwrap_or_default();
    each_lane_apart::<I, O, ADD>(map, from, next(), next(), next(), next(), next(), next());
}

/// As [`each_lane`], of three to six results, which the compiler knows to be apart only if it gets them one by one.
#[inline(always)]
#[allow(clippy::too_many_arguments, clippy::needless_range_loop)]
fn each_lane_apart<const I: usize, const O: usize, const ADD: bool>(
    map: impl Fn([f32; I]) -> [f32; O],
    mut from: [&[f32]; I],
    a: &mut [f32],
    b: &mut [f32],
    c: &mut [f32],
    d: &mut [f32],
    e: &mut [f32],
    f: &mut [f32],
) {
    let len = from[0].len();
    for j in 0..I {
        from[j] = &from[j][..len];
    }
    let (a, b, c) = (&mut a[..len], &mut b[..len], &mut c[..len]);
    let (some, all) = (if O > 3 { len } else { 0 }, if O > 4 { len } else { 0 });
    let (d, e, f) = (&mut d[..some], &mut e[..all], &mut f[..all]);
    let put = |to: &mut f32, x: f32| *to = if ADD { *to + x } else { x };
    for i in 0..len {
        let mut x = [0.0; I];
        for j in 0..I {
            x[j] = from[j][i];
        }
        let y = map(x);
        put(&mut a[i], y[0]);
        put(&mut b[i], y[1]);
        put(&mut c[i], y[2]);
        if O > 3 {
            put(&mut d[i], y[3]);
        }
        if O > 4 {
            put(&mut e[i], y[4]);
            put(&mut f[i], y[5]);
        }
    }
}
