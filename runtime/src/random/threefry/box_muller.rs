//! Two normals from a block each.

use std::f32::consts::FRAC_PI_2;

use super::Key;
use super::bits::{BLOCKS, BlockWords};
use crate::array::kernels::vectors::{Loop, widest};
use crate::array::math::single;

/// Standard normals from index `first` on, which are not those of JAX: `2i` and `2i + 1` are √(-2 log *u*) cos 2π*v* and
/// √(-2 log *u*) sin 2π*v*, where *u* and *v*, uniform from 0 to 1, are made of the two words of block `i`.
///
/// G. Box and M. Muller, "A note on the generation of random normal deviates", Annals of Mathematical Statistics 29
/// (1958).
pub(super) fn normal_pairs(key: Key, first: usize, out: &mut [f32]) {
    let (mut words, mut pairs) = (BlockWords::new(), [[0.0; 2]; BLOCKS]);
    let (mut first, mut rest) = (first, out);
    while !rest.is_empty() {
        widest(Pairs { key, first: first / 2, words: &mut words, pairs: &mut pairs });
        let numbers = &pairs.as_flattened()[first % 2..];
        let (now, later) = rest.split_at_mut(numbers.len().min(rest.len()));
        now.copy_from_slice(&numbers[..now.len()]);
        (first, rest) = (first + now.len(), later);
    }
}

/// Those of the blocks from number `first` on.
struct Pairs<'a> {
    key: Key,
    first: usize,
    words: &'a mut BlockWords,
    pairs: &'a mut [[f32; 2]; BLOCKS],
}

impl Loop for Pairs<'_> {
    type Result = ();

    // Words and pairs do not lie alike: numbers take the places of words before they are paired.
    #[inline(always)]
    fn run(self) {
        self.words.draw(self.key, self.first);
        let [u, v] = self.words.both_mut();
        for u in u.iter_mut() {
            *u = radius(*u).to_bits();
        }
        for (u, v) in u.iter_mut().zip(v.iter_mut()) {
            let (radius, [cos, sin]) = (f32::from_bits(*u), cos_sin(*v));
            (*u, *v) = ((radius * cos).to_bits(), (radius * sin).to_bits());
        }
        for ((pair, x), y) in self.pairs.iter_mut().zip(u).zip(v) {
            *pair = [f32::from_bits(*x), f32::from_bits(*y)];
        }
    }
}

/// √(-2 log *u*), where *u*, above 0 and at most 1, is made of the first 31 bits.
#[inline(always)]
fn radius(word: u32) -> f32 {
    const UNIT: f32 = 1.0 / (1u32 << 31) as f32;
    let u = ((word >> 1) as i32 as f32 + 1.0) * UNIT;
    (-2.0 * single::log_normal(u)).sqrt()
}

/// Cosine and sine of as many turns as the word is 2³²ths, to 2⁻²³: of what is left to the nearest quarter of a turn, by
/// the polynomials of S. Moshier's Cephes library (`sinf`).
#[inline(always)]
fn cos_sin(word: u32) -> [f32; 2] {
    const QUARTER: u32 = 1 << 30;
    const HALF: u32 = 1 << 31;
    const RADIANS: f32 = FRAC_PI_2 / QUARTER as f32;
    let shifted = word.wrapping_add(QUARTER / 2);
    let x = ((shifted % QUARTER) as i32 - (QUARTER / 2) as i32) as f32 * RADIANS;
    let z = x * x;
    let sin = (-1.951_529_6e-4f32).mul_add(z, 8.332_161e-3).mul_add(z, -0.166_666_55);
    let sin = (x * z).mul_add(sin, x);
    let cos = 2.443_315_7e-5f32.mul_add(z, -1.388_731_6e-3).mul_add(z, 4.166_664_6e-2);
    let cos = (z * z).mul_add(cos, z.mul_add(-0.5, 1.0));
    let [cos_size, sin_size] = if shifted & QUARTER == 0 { [cos, sin] } else { [sin, cos] };
    let negated = |x: f32, sign: u32| f32::from_bits(x.to_bits() ^ (sign & HALF));
    [negated(cos_size, shifted.wrapping_add(QUARTER)), negated(sin_size, shifted)]
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use crate::random::threefry::Layout;

    /// By the definition, from the words that JAX draws.
    fn defined(key: Key, i: usize) -> f64 {
        let words = key.bits::<u64>(Layout::Partitionable, 0, i / 2..i / 2 + 1)[0];
        let (first, second) = ((words >> 32) as u32, words as u32);
        let u = (f64::from(first >> 1) + 1.0) / 2f64.powi(31);
        let angle = TAU * f64::from(second) / 2f64.powi(32);
        (-2.0 * u.ln()).sqrt() * [angle.cos(), angle.sin()][i % 2]
    }

    #[test]
    fn they_are_as_defined_from_any_index_on() {
        let key = Key::new(7);
        let end_of_low_words = 1 << 33;
        for (first, len) in [(0, 1), (0, 1500), (1, 1), (1, 1025), (515, 2), (end_of_low_words - 301, 700)] {
            let mut out = vec![0.0; len];
            normal_pairs(key, first, &mut out);
            for (i, x) in out.into_iter().enumerate() {
                let exact = defined(key, first + i);
                assert!((f64::from(x) - exact).abs() < 2e-6, "{}: {x} {exact}", first + i);
            }
        }
    }

    #[test]
    fn directions_at_the_quarters_and_radii_at_the_ends() {
        for word in (0..16u32).flat_map(|i| (0..7).map(move |j| (i << 28).wrapping_add(j).wrapping_sub(3))) {
            let angle = TAU * f64::from(word) / 2f64.powi(32);
            for (ours, exact) in cos_sin(word).into_iter().zip([angle.cos(), angle.sin()]) {
                assert!((f64::from(ours) - exact).abs() < 1.5e-7, "{word}: {ours} {exact}");
            }
        }
        assert_eq!(radius(u32::MAX), 0.0);
        assert!((radius(0) - 6.555_5).abs() < 1e-4);
    }
}
