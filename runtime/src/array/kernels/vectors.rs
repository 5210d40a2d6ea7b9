//! Loops compiled for the vectors of the machine that they run on: of 64 bytes, of 32, and of what every machine has.
//!
//! Only the width differs. Rust neither fuses nor reorders floating-point operations by itself, so the bits are the
//! same for all three.
#![allow(unsafe_code)]

/// A loop, to be compiled for every width.
///
/// [`run`](Self::run), and whatever it calls for each element, must be `#[inline(always)]`: a function that is not
/// inlined is compiled once, without the vectors.
pub(crate) trait Loop {
    /// What the loop gives.
    type Result;

    /// All of the loop.
    fn run(self) -> Self::Result;
}

/// The widest vectors of this machine, with a fused multiply-add for them.
#[derive(Clone, Copy)]
pub(super) enum Vectors {
    /// Those of every such processor: the compiler has them without asking.
    #[cfg(target_arch = "aarch64")]
    Bytes16,
    #[cfg(target_arch = "x86_64")]
    Bytes32,
    #[cfg(target_arch = "x86_64")]
    Bytes64,
}

/// `None` where there is no fused multiply-add.
#[cfg(target_arch = "x86_64")]
pub(super) fn vectors() -> Option<Vectors> {
    use std::arch::is_x86_feature_detected as has;
    let fused = has!("avx2") && has!("fma");
    let wide = has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw");
    fused.then_some(if wide { Vectors::Bytes64 } else { Vectors::Bytes32 })
}

/// As above.
#[cfg(target_arch = "aarch64")]
pub(super) fn vectors() -> Option<Vectors> {
    Some(Vectors::Bytes16)
}

/// As above, of machines for which there is no tile.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn vectors() -> Option<Vectors> {
    None
}

/// Runs the loop with the widest vectors of this machine.
#[inline]
pub(crate) fn widest<L: Loop>(body: L) -> L::Result {
    #[cfg(target_arch = "x86_64")]
    match vectors() {
        // SAFETY: the processor has the features: `vectors` asked it.
        Some(Vectors::Bytes64) => return unsafe { with_64_bytes(body) },
        // SAFETY: as above.
        Some(Vectors::Bytes32) => return unsafe { with_32_bytes(body) },
        None => {}
    }
    body.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")]
fn with_64_bytes<L: Loop>(body: L) -> L::Result {
    body.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_32_bytes<L: Loop>(body: L) -> L::Result {
    body.run()
}

/// Every width that this machine has, the widest first.
#[cfg(test)]
pub(crate) fn every<L: Loop>() -> Vec<fn(L) -> L::Result> {
    type Run<L> = fn(L) -> <L as Loop>::Result;
    let mut all: Vec<Run<L>> = vec![];
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: the processor has the features.
        let (wide, narrow): (Run<L>, Run<L>) =
            (|body| unsafe { with_64_bytes(body) }, |body| unsafe { with_32_bytes(body) });
        all.extend(matches!(vectors(), Some(Vectors::Bytes64)).then_some(wide));
        all.extend(vectors().map(|_| narrow));
    }
    all.extend([L::run as Run<L>]);
    all
}
