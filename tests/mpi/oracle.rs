//! What the workers bring, and the reduction of it as it is defined: along the tree, sequentially.

use axisgrad_collectives::Reduction;
use axisgrad_collectives::element::Element;
use num_complex::Complex;

/// An element type with values to test with.
pub trait Sample: Element {
    /// Some value for each key, spread so that another order of additions gives other bits.
    fn sample(key: u64) -> Self;
}

macro_rules! samples {
    ($($type:ty: $key:ident => $value:expr),* $(,)?) => {$(
        impl Sample for $type {
            fn sample($key: u64) -> Self {
                $value
            }
        }
    )*};
}

samples! {
    f32: key => (key % 2003) as f32 * 0.37e-2 - 1.7,
    f64: key => (key % 20_011) as f64 * 0.37e-3 - 1.7,
    Complex<f32>: key => Complex::new(f32::sample(key), f32::sample(key ^ 5)),
    Complex<f64>: key => Complex::new(f64::sample(key), f64::sample(key ^ 5)),
    i32: key => (key.wrapping_mul(0x9E37_79B9) >> 7) as i32,
    i64: key => key.wrapping_mul(0x9E37_79B9_7F4A_7C15) as i64,
    u8: key => (key >> 3) as u8,
    bool: key => key % 5 < 4,
}

/// What worker `worker` brings.
pub fn data<T: Sample>(worker: usize, len: usize) -> Vec<T> {
    let mix = |i: usize| (worker as u64 * 1_000_003 + i as u64 + 1).wrapping_mul(0xD134_2543_DE82_EF95) >> 17;
    (0..len).map(|i| T::sample(mix(i))).collect()
}

/// The leaves combined along the tree: the left half is the largest power of two that leaves something over.
pub fn reduce<T: Sample>(leaves: &[Vec<T>], reduction: Reduction) -> Vec<T> {
    if let [leaf] = leaves {
        return leaf.clone();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let combine = T::combine(reduction).expect("a reduction of this type");
    let (left, right) = (reduce(left, reduction), reduce(right, reduction));
    let mut combined = left.clone();
    combine(&mut combined, &left, &right);
    combined
}

/// How two results differ, bit for bit.
pub fn same<T: Element>(got: &[T], expected: &[T]) -> Option<String> {
    use axisgrad_collectives::buffer::bytes_of;
    if got.len() != expected.len() {
        return Some(format!("{} elements instead of {}", got.len(), expected.len()));
    }
    let differs = |i: &usize| bytes_of(&got[*i..=*i]) != bytes_of(&expected[*i..=*i]);
    let first = (0..got.len()).find(differs)?;
    Some(format!("element {first} is {:?} instead of {:?}", got[first], expected[first]))
}
