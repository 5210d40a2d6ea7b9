//! Convolution with fewer multiplications: Winograd's minimal filtering, for windows of 3×3 side by side.
//!
//! An image is cut into tiles of 6×6 places that overlap by two, and each gives 4×4 results. With `x` such a tile and
//! `w` a kernel,
//!
//!     y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A
//!
//! takes 36 multiplications where the definition takes 144; and since `A` is the same for all channels, what is summed
//! over channels are the products ⊙: 36 matrix products, one for each place of a transformed tile. What stands before
//! and after them are additions and multiplications by constants. All three of `x`, `w` and `y` are mapped by a matrix
//! on both sides, so both transposes of the convolution are the same products between the transposed maps.
//!
//! Tiles and lines of an image are kept with the channels innermost, which are the lanes of every loop here.
//!
//! S. Winograd, *Arithmetic complexity of computations* (1980); for images A. Lavin and S. Gray, *Fast algorithms for
//! convolutional neural networks* (2016). The points of interpolation are 0, -1, 1, ½, -2 and ∞, which have the
//! smallest error of those tried by B. Barabasz, A. Anderson, K. Soodhalter and D. Gregg, *Error analysis and improving the
//! accuracy of Winograd convolution for deep neural networks* (2020).

use std::marker::PhantomData;
use std::ops::Range;

use axisgrad_collectives::{Buffer, BufferMut, Pool};

use super::conv::Window;
use super::gemm::Matrix;
use super::pack::transpose;
use super::small_product::{beyond, multiply};
use super::vectors::{Loop, widest};

/// `Bᵀ`, for what a tile sees.
const SEEN: [[f32; 6]; 6] = [
    [1.0, -1.5, -2.0, 1.5, 1.0, 0.0],
    [0.0, -1.0, 2.5, -0.5, -1.0, 0.0],
    [0.0, -1.0, 0.5, 2.5, 1.0, 0.0],
    [0.0, 2.0, 1.0, -2.0, -1.0, 0.0],
    [0.0, 1.0, -2.0, -1.0, 2.0, 0.0],
    [0.0, 1.0, -1.5, -2.0, 1.5, 1.0],
];

/// `G`, for kernels.
const KERNEL: [[f32; 3]; 6] = [
    [1.0, 0.0, 0.0],
    [1.0 / 3.0, -1.0 / 3.0, 1.0 / 3.0],
    [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0],
    [16.0 / 15.0, 8.0 / 15.0, 4.0 / 15.0],
    [1.0 / 30.0, -1.0 / 15.0, 2.0 / 15.0],
    [0.0, 0.0, 1.0],
];

/// `A`, for results.
const RESULT: [[f32; 4]; 6] = [
    [1.0, 0.0, 0.0, 0.0],
    [1.0, -1.0, 1.0, -1.0],
    [1.0, 1.0, 1.0, 1.0],
    [1.0, 0.5, 0.25, 0.125],
    [1.0, -2.0, 4.0, -8.0],
    [0.0, 0.0, 0.0, 1.0],
];

/// A map of three, four or six places to six, and its transpose.
trait Map<const P: usize> {
    fn spread(x: [f32; P]) -> [f32; 6];
    fn collect(x: [f32; 6]) -> [f32; P];
}

struct Seen;
struct Kernel;
struct Results;

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

/// Results of a tile along each dim, and places of a transformed one.
const STEP: usize = 4;
const PLACES: usize = 36;
/// About how many tiles are transformed and multiplied at once, so that they stay in the second-level cache.
const TOGETHER: usize = 36;
/// Fewer channels than this are not worth the transforms.
const CHANNELS: usize = 16;

/// The convolutions of one group of channels.
pub(super) struct Winograd {
    seen: Planes,
    results: Planes,
    /// How many tiles there are down and across.
    tiles: [usize; 2],
}

/// Images with one plane for each channel.
#[derive(Clone, Copy)]
struct Planes {
    channels: usize,
    height: usize,
    width: usize,
}

/// The same group of several examples: all data, and where each begins.
pub(super) type Examples<'a> = (&'a [f32], &'a [usize]);

impl Winograd {
    /// For a group with so many channels in and out, if it has windows of 3×3 side by side and saves time.
    pub fn new(sizes: &[usize], windows: &[Window], [channels, out]: [usize; 2]) -> Option<Self> {
        let (&[height, width], [_, _]) = (sizes, windows) else { return None };
        let side_by_side = windows.iter().all(|w| (w.size, w.stride, w.dilation) == (3, 1, 1));
        if !side_by_side || channels.min(out) < CHANNELS || height.min(width) < 3 {
            return None;
        }
        let tiles = [height, width].map(|n| (n - 2).div_ceil(STEP));
        // Half of the multiplications saved pay for the transforms.
        let pays = 2 * PLACES * tiles[0] * tiles[1] <= 9 * (height - 2) * (width - 2);
        let seen = Planes { channels, height, width };
        let results = Planes { channels: out, height: height - 2, width: width - 2 };
        pays.then_some(Self { seen, results, tiles })
    }

    /// See [`Convolution::apply`](super::conv::Convolution::apply).
    pub fn apply(&self, x: Examples, kernel: &[f32], to: &mut [f32], starts: &[usize], pool: &Pool) {
        let (channels, out) = (self.seen.channels, self.results.channels);
        let kernels = self.kernels(kernel, false, pool);
        let (mut seen, mut sums) = (self.tiles(channels, pool), self.tiles(out, pool));
        let mut lines = self.lines(pool);
        for strips in self.strips(x.1.len()) {
            self.see(x, &strips, lines.as_mut_slice(), &mut seen);
            let tiles = strips.len() * self.tiles[1];
            for place in 0..PLACES {
                let kernel = kernels.at(place, channels);
                let sums = sums.at_mut(place);
                multiply(sums, out, seen.at(place, tiles), kernel, false, pool);
            }
            for (i, (example, row)) in self.places(&strips) {
                let lines = lines.as_mut_slice();
                sums.collect::<Results, _>(i * self.tiles[1]..(i + 1) * self.tiles[1], lines, false);
                self.results.put(lines, self.tiles[1] * STEP, row * STEP, STEP, &mut to[starts[example]..]);
            }
        }
    }

    /// See [`Convolution::pull`](super::conv::Convolution::pull).
    pub fn pull(&self, ct: Examples, kernel: &[f32], to: &mut [f32], starts: &[usize], pool: &Pool) {
        let (channels, out) = (self.seen.channels, self.results.channels);
        let kernels = self.kernels(kernel, true, pool);
        let (mut spread, mut sums) = (self.tiles(out, pool), self.tiles(channels, pool));
        let (mut lines, mut sum) = (self.lines(pool), self.lines(pool));
        let (width, line) = (self.seen_width(), self.seen_width() * channels);
        for strips in self.strips(ct.1.len()) {
            self.spread(ct, &strips, lines.as_mut_slice(), &mut spread);
            let tiles = strips.len() * self.tiles[1];
            for place in 0..PLACES {
                let kernel = kernels.at(place, out);
                let sums = sums.at_mut(place);
                multiply(sums, channels, spread.at(place, tiles), kernel, false, pool);
            }
            for (i, (example, row)) in self.places(&strips) {
                // The last two lines of a strip are the first two of the next.
                let sum = sum.as_mut_slice::<f32>();
                let kept = if row == 0 { 0 } else { 2 * line };
                sum.copy_within(STEP * line..STEP * line + kept, 0);
                sum[kept..6 * line].fill(0.0);
                sums.collect::<Seen, _>(i * self.tiles[1]..(i + 1) * self.tiles[1], sum, true);
                let rows = if row + 1 == self.tiles[0] { 6 } else { STEP };
                self.seen.put(sum, width, row * STEP, rows, &mut to[starts[example]..]);
            }
        }
    }

    /// See [`Convolution::weigh`](super::conv::Convolution::weigh): adds the examples in their order, by strips.
    pub fn weigh(&self, x: Examples, ct: Examples, to: &mut [f32], pool: &Pool) {
        let (channels, out) = (self.seen.channels, self.results.channels);
        let (mut seen, mut spread) = (self.tiles(channels, pool), self.tiles(out, pool));
        let (mut lines, mut sums) = (self.lines(pool), Tiles::new(channels, out, pool));
        for strips in self.strips(x.1.len()) {
            self.see(x, &strips, lines.as_mut_slice(), &mut seen);
            self.spread(ct, &strips, lines.as_mut_slice(), &mut spread);
            let tiles = strips.len() * self.tiles[1];
            for place in 0..PLACES {
                let sums = sums.at_mut(place);
                let (x, ct) = (seen.at(place, tiles).transposed(), spread.at(place, tiles));
                multiply(sums, out, x, ct, strips.start > 0, pool);
            }
        }
        let kernel = &mut lines.as_mut_slice::<f32>()[..9 * out];
        for channel in 0..channels {
            sums.collect::<Kernel, _>(channel..channel + 1, kernel, false);
            for (i, &x) in kernel.iter().enumerate() {
                to[(i % out * channels + channel) * 9 + i / out] = x;
            }
        }
    }

    /// Strips of tiles, row after row and example after example, a few at a time.
    fn strips(&self, examples: usize) -> impl Iterator<Item = Range<usize>> {
        let (strips, some) = (examples * self.tiles[0], self.strips_together());
        (0..strips).step_by(some).map(move |first| first..strips.min(first + some))
    }

    fn strips_together(&self) -> usize {
        (TOGETHER / self.tiles[1]).max(1)
    }

    /// The examples of strips, and their rows of tiles.
    fn places(&self, strips: &Range<usize>) -> impl Iterator<Item = (usize, (usize, usize))> {
        let down = self.tiles[0];
        strips.clone().map(move |strip| (strip / down, strip % down)).enumerate()
    }

    /// The tiles of as many strips as go together.
    fn tiles(&self, channels: usize, pool: &Pool) -> Tiles {
        Tiles::new(self.strips_together() * self.tiles[1], channels, pool)
    }

    /// Memory for the lines of a strip, or one channel's kernels.
    fn lines(&self, pool: &Pool) -> BufferMut {
        let (channels, out) = (self.seen.channels, self.results.channels);
        pool.alloc::<f32>((6 * self.seen_width() * channels.max(out)).max(9 * channels.max(out)))
    }

    fn seen_width(&self) -> usize {
        self.tiles[1] * STEP + 2
    }

    /// `Bᵀ x B` of all tiles of the strips.
    fn see(&self, (x, starts): Examples, strips: &Range<usize>, lines: &mut [f32], to: &mut Tiles) {
        for (i, (example, row)) in self.places(strips) {
            self.seen.get(&x[starts[example]..], row * STEP, 6, self.seen_width(), lines);
            to.spread::<Seen, _>(lines, i * self.tiles[1]..(i + 1) * self.tiles[1]);
        }
    }

    /// `A ct Aᵀ` of all tiles of the strips.
    fn spread(&self, (ct, starts): Examples, strips: &Range<usize>, lines: &mut [f32], to: &mut Tiles) {
        for (i, (example, row)) in self.places(strips) {
            self.results.get(&ct[starts[example]..], row * STEP, STEP, self.tiles[1] * STEP, lines);
            to.spread::<Results, _>(lines, i * self.tiles[1]..(i + 1) * self.tiles[1]);
        }
    }

    /// `G w Gᵀ` of all kernels: a matrix for each place, with a row for each channel in, or with `turned` for each one
    /// out.
    fn kernels(&self, kernel: &[f32], turned: bool, pool: &Pool) -> Tiles {
        let (channels, out) = (self.seen.channels, self.results.channels);
        let (rows, row, lanes, lane) =
            if turned { (out, channels * 9, channels, 9) } else { (channels, 9, out, channels * 9) };
        let mut tiles = Tiles::new(rows, lanes, pool);
        let mut lines = pool.alloc::<f32>(9 * lanes);
        for i in 0..rows {
            let lines = lines.as_mut_slice::<f32>();
            for (at, x) in lines.iter_mut().enumerate() {
                *x = kernel[i * row + at % lanes * lane + at / lanes];
            }
            tiles.spread::<Kernel, _>(lines, i..i + 1);
        }
        tiles
    }
}

impl Planes {
    /// Lines of an image with its channels innermost: `rows` of them from `row` on, `width` long; zeros beyond the image.
    fn get(&self, image: &[f32], row: usize, rows: usize, width: usize, lines: &mut [f32]) {
        let Self { channels, height, width: inside } = *self;
        let (line, there) = (width * channels, rows.min(height - row));
        let plane = height * inside;
        lines[there * line..rows * line].fill(0.0);
        if inside == width {
            return transpose(&image[row * inside..], plane, [channels, there * inside], lines, channels);
        }
        for (row, line) in (row..row + there).zip(lines.chunks_exact_mut(line)) {
            transpose(&image[row * inside..], plane, [channels, inside], line, channels);
            line[inside * channels..].fill(0.0);
        }
    }

    /// Writes such lines to an image, as far as they lie inside.
    fn put(&self, lines: &[f32], width: usize, row: usize, rows: usize, image: &mut [f32]) {
        let Self { channels, height, width: inside } = *self;
        let (there, plane) = (rows.min(height - row), height * inside);
        if inside == width {
            return transpose(lines, channels, [there * inside, channels], &mut image[row * inside..], plane);
        }
        for (row, line) in (row..row + there).zip(lines.chunks_exact(width * channels)) {
            transpose(line, channels, [inside, channels], &mut image[row * inside..], plane);
        }
    }
}

/// Transformed tiles: for each place a matrix with a row for each tile.
struct Tiles {
    data: Buffer,
    tiles: usize,
    lanes: usize,
}

impl Tiles {
    fn new(tiles: usize, lanes: usize, pool: &Pool) -> Self {
        Self { data: pool.alloc::<f32>(PLACES * tiles * lanes + beyond(lanes)).freeze(), tiles, lanes }
    }

    /// The matrix of a place, as far as the first tiles.
    fn at(&self, place: usize, tiles: usize) -> Matrix<'_, f32> {
        let (data, at) = (self.data.as_slice(), place * self.tiles * self.lanes);
        Matrix {
            data,
            at,
            rows: tiles,
            columns: self.lanes,
            row_stride: self.lanes as isize,
            column_stride: 1,
        }
    }

    /// The elements of a place's matrix.
    fn at_mut(&mut self, place: usize) -> &mut [f32] {
        let size = self.tiles * self.lanes;
        &mut self.all_mut()[place * size..][..size]
    }

    fn all_mut(&mut self) -> &mut [f32] {
        self.data.get_mut().expect("nobody else has the tiles")
    }

    /// `M t Mᵀ` of `P`×`P` places `t` of the lines for each of the tiles, [`STEP`] places apart.
    fn spread<M: Map<P>, const P: usize>(&mut self, lines: &[f32], tiles: Range<usize>) {
        let (lanes, place, many) = (self.lanes, self.tiles * self.lanes, tiles.len());
        let mut half = self.data.pool().alloc::<f32>(6 * (STEP * (many - 1) + P) * lanes);
        let (to, half) = (&mut self.all_mut()[tiles.start * lanes..], half.as_mut_slice());
        widest(Spread::<M, P> { lines, half, to, lanes, place, tiles: many, map: PhantomData });
    }

    /// The transpose of [`spread`](Self::spread), `Mᵀ t M`: writes to the lines, or adds.
    fn collect<M: Map<P>, const P: usize>(&self, tiles: Range<usize>, lines: &mut [f32], add: bool) {
        let (lanes, place, many) = (self.lanes, self.tiles * self.lanes, tiles.len());
        let mut half = self.data.pool().alloc::<f32>(6 * P * lanes);
        let (from, half) = (&self.data.as_slice()[tiles.start * lanes..], half.as_mut_slice());
        widest(Collect::<M, P> { from, half, lines, lanes, place, tiles: many, add, map: PhantomData });
    }
}

/// See [`Tiles::spread`]; `half` has room for what is transformed along columns alone.
struct Spread<'a, M, const P: usize> {
    lines: &'a [f32],
    half: &'a mut [f32],
    to: &'a mut [f32],
    lanes: usize,
    place: usize,
    tiles: usize,
    map: PhantomData<M>,
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

/// See [`Tiles::collect`]; `half` has room for a tile that is transformed along rows alone.
struct Collect<'a, M, const P: usize> {
    from: &'a [f32],
    half: &'a mut [f32],
    lines: &'a mut [f32],
    lanes: usize,
    place: usize,
    tiles: usize,
    add: bool,
    map: PhantomData<M>,
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
#[allow(clippy::too_many_arguments)]
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

#[cfg(test)]
mod tests {
    use super::super::conv::Convolution;
    use super::super::map::{cast, map1};
    use super::*;
    use crate::array::Array;
    use crate::dtype::DType;

    fn rough(dims: &[usize], seed: usize) -> Array {
        let value = |i: usize| ((i * 7919 + seed * 31) % 2003) as f32 / 1001.5 - 1.0;
        Array::from_vec((0..dims.iter().product()).map(value).collect(), dims)
    }

    fn side_by_side(sizes: [usize; 2], groups: usize) -> Convolution {
        let windows = vec![Window { size: 3, stride: 1, dilation: 1 }; 2];
        Convolution { sizes: sizes.into_iter().collect(), windows, groups }
    }

    /// Examples, sizes, groups, and channels of a group in and out: whole tiles and parts, one and many strips.
    const CASES: [(usize, [usize; 2], usize, [usize; 2]); 5] = [
        (2, [6, 6], 1, [16, 24]),
        (3, [9, 14], 2, [17, 19]),
        (1, [26, 26], 1, [32, 64]),
        (2, [16, 150], 1, [33, 16]),
        (7, [10, 18], 1, [16, 16]),
    ];

    /// `x`, kernel and cotangent, the kernel for every example.
    fn operands(case: usize) -> (Convolution, [Array; 3]) {
        let (examples, [height, width], groups, [channels, out]) = CASES[case];
        let of = side_by_side([height, width], groups);
        assert!(Winograd::new(&of.sizes, &of.windows, [channels, out]).is_some());
        let kernel = rough(&[1, groups * out, channels, 3, 3], 2).broadcast_to(&[
            examples,
            groups * out,
            channels,
            3,
            3,
        ]);
        let x = rough(&[examples, groups * channels, height, width], 1);
        (of, [x, kernel, rough(&[examples, groups * out, height - 2, width - 2], 3)])
    }

    /// The definition in `f64`, which goes the direct way.
    fn near(got: &Array, exact: impl Fn(&dyn Fn(&Array) -> Array) -> Array) {
        let wide = |a: &Array| cast(a, DType::F64);
        let size = |a: &Array| map1(&wide(a), |x: f64| x.abs());
        let (expected, sizes) = (exact(&wide).to_vec::<f64>(), exact(&size).to_vec::<f64>());
        assert_eq!(got.len(), expected.len());
        for ((x, exact), size) in got.to_vec::<f32>().into_iter().zip(expected).zip(sizes) {
            // Three times what the direct sum in `f32` deviates at most, measured over many sizes.
            assert!((f64::from(x) - exact).abs() <= 2e-6 * size, "{x} is not {exact}, of terms of {size}");
        }
    }

    #[test]
    fn the_definition_and_both_transposes() {
        for case in 0..CASES.len() {
            let (of, [x, kernel, ct]) = operands(case);
            near(&of.apply(&x, &kernel, 1), |to| of.apply(&to(&x), &to(&kernel), 1));
            near(&of.pull(&ct, &kernel, 1), |to| of.pull(&to(&ct), &to(&kernel), 1));
            let whole = 0..CASES[case].0;
            let all = std::slice::from_ref(&whole);
            near(&of.weigh(&x, &ct, 0, all)[0], |to| of.weigh(&to(&x), &to(&ct), 0, all).remove(0));
        }
    }

    #[test]
    fn an_example_has_the_same_bits_alone() {
        for case in 0..CASES.len() {
            let (of, [x, kernel, ct]) = operands(case);
            let one = |a: &Array, i| a.slice(0, i, i + 1, 1);
            let (y, dx) = (of.apply(&x, &kernel, 1), of.pull(&ct, &kernel, 1));
            let each =
                of.weigh(&x.expand_dims(1), &ct.expand_dims(1), 1, std::slice::from_ref(&(0..1))).remove(0);
            for i in 0..CASES[case].0 {
                let (x, kernel, ct) = (one(&x, i), one(&kernel, i), one(&ct, i));
                assert!(of.apply(&x, &kernel, 1).to_vec::<f32>() == one(&y, i).to_vec::<f32>());
                assert!(of.pull(&ct, &kernel, 1).to_vec::<f32>() == one(&dx, i).to_vec::<f32>());
                let alone = of.weigh(&x, &ct, 0, std::slice::from_ref(&(0..1))).remove(0);
                assert!(alone.to_vec::<f32>() == one(&each, i).to_vec::<f32>());
            }
        }
    }

    #[test]
    fn a_range_has_the_same_bits_alone() {
        let (of, [x, _, ct]) = operands(4);
        let sums = of.weigh(&x, &ct, 0, &[0..2, 2..7]);
        for (sum, range) in sums.iter().zip([0..2, 2..7]) {
            let [x, ct] = [&x, &ct].map(|a| a.slice(0, range.start, range.end, 1));
            let alone = of.weigh(&x, &ct, 0, std::slice::from_ref(&(0..range.len()))).remove(0);
            assert!(alone.to_vec::<f32>() == sum.to_vec::<f32>());
        }
        let nothing = of.weigh(&x, &ct, 0, std::slice::from_ref(&(3..3))).remove(0);
        assert_eq!(nothing.to_vec::<f32>(), [0.0; 16 * 16 * 9]);
    }

    #[test]
    fn both_are_transposes_to_rounding() {
        for case in 0..CASES.len() {
            let (of, [x, kernel, ct]) = operands(case);
            let dot = |a: &Array, b: &Array| -> f64 {
                assert_eq!(a.dims(), b.dims());
                a.to_vec::<f32>()
                    .iter()
                    .zip(b.to_vec::<f32>())
                    .map(|(&a, b)| f64::from(a) * f64::from(b))
                    .sum()
            };
            let y = of.apply(&x, &kernel, 1);
            let size = dot(&y, &y).sqrt() * dot(&ct, &ct).sqrt();
            let all = of.weigh(&x, &ct, 0, std::slice::from_ref(&(0..CASES[case].0))).remove(0);
            for other in [dot(&x, &of.pull(&ct, &kernel, 1)), dot(&kernel.index(0, 0), &all)] {
                assert!((dot(&y, &ct) - other).abs() < 1e-6 * size, "{} and {other}", dot(&y, &ct));
            }
        }
    }

    #[test]
    fn kernels_of_their_own() {
        let (of, [x, _, ct]) = operands(4);
        let kernels = rough(&[7, 16, 16, 3, 3], 4);
        near(&of.apply(&x, &kernels, 1), |to| of.apply(&to(&x), &to(&kernels), 1));
        near(&of.pull(&ct, &kernels, 1), |to| of.pull(&to(&ct), &to(&kernels), 1));
    }

    #[test]
    fn only_where_it_pays() {
        let pays = |sizes, channels| {
            let of = side_by_side(sizes, 1);
            Winograd::new(&of.sizes, &of.windows, channels).is_some()
        };
        assert!(pays([26, 26], [32, 64]) && pays([6, 6], [16, 16]));
        assert!(!pays([26, 26], [1, 32]) && !pays([26, 26], [32, 10]));
        assert!(!pays([2, 30], [32, 32]) && !pays([3, 3], [32, 32]) && !pays([7, 7], [32, 32]));
        let spread = vec![Window { size: 3, stride: 2, dilation: 1 }; 2];
        assert!(Winograd::new(&[26, 26], &spread, [32, 32]).is_none());
    }
}
