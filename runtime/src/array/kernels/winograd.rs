//! Convolution with fewer multiplications: Winograd's minimal filtering, for windows of 3×3 side by side.
//!
//! An image is cut into tiles of 6×6 places that overlap by two, and each gives 4×4 results. With `x` such a tile and
//! `w` a kernel,
//!
//! ```text
//! y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A
//! ```
//!
//! takes 36 multiplications where the definition takes 144; and since `A` is the same for all channels, what is summed
//! over channels are the products ⊙: 36 matrix products, one for each place of a transformed tile. What stands before
//! and after them are additions and multiplications by constants. All three of `x`, `w` and `y` are mapped by a matrix
//! on both sides, so both transposes of the convolution are the same products between the transposed maps.
//!
//! Tiles and lines of an image are kept with the channels innermost, which are the lanes of every loop here.
//!
//! S. Winograd, *Arithmetic complexity of computations* (1980); for images A. Lavin and S. Gray, *Fast algorithms for
//! convolutional neural networks* (2016). The points of interpolation are 0, -1, 1, ½, -2 and ∞, after B. Barabasz,
//! A. Anderson, K. Soodhalter and D. Gregg, *Error analysis and improving the accuracy of Winograd convolution for deep
//! neural networks* (2020): the error is about three times that of the direct sum, where 0, ±1, ±2 and ∞ have five.

use std::marker::PhantomData;
use std::ops::Range;

use axisgrad_collectives::{Buffer, BufferMut, Pool};

use super::conv::Window;
use super::gemm::Matrix;
use super::pack::transpose;
use super::small_product::{beyond, multiply};
use super::vectors::widest;
use maps::{Collect, Kernel, Map, Results, Seen, Spread};

mod maps;
#[cfg(test)]
mod tests;

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
