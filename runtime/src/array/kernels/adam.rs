//! The update of one parameter by Adam, in one pass over memory.

use super::vectors::{Loop, widest};
use crate::array::{Array, threads};
use crate::dtype::{Real, Scalar, dispatch};

/// The numbers of one update, which are the same for all elements.
#[derive(Clone, Copy, Debug)]
pub struct AdamRates {
    /// How much of the two moments stays.
    pub keep: [f64; 2],
    /// What corrects the moments for having begun at zero.
    pub scale: [f64; 2],
    /// What is added to the root of the second moment.
    pub epsilon: f64,
    /// How much of the parameter stays, and what part of the step it moves by.
    pub step: [f64; 2],
}

/// The parameter and its two moments after an update with a gradient: four times `T[dims]` to three times, for
/// floats. All four have the same dims.
pub fn adam(parameter: &Array, moments: [&Array; 2], gradient: &Array, rates: AdamRates) -> [Array; 3] {
    dispatch!(parameter.dtype() in [float], T => updated::<T>([parameter, moments[0], moments[1], gradient], rates))
}

fn updated<T: Real>(operands: [&Array; 4], rates: AdamRates) -> [Array; 3] {
    let dims = operands[0].dims();
    let pool = threads::pool_of(operands);
    let operands = operands.map(Array::contiguous);
    let data = operands.each_ref().map(|x| x.as_slice::<T>());
    let len = operands[0].len();
    let mut buffers = [0; 3].map(|_| pool.alloc::<T>(len));
    let part = threads::part(pool, len, len, threads::ELEMENTS);
    threads::split_together(
        pool,
        buffers.each_mut().map(|buffer| buffer.as_mut_slice::<T>()),
        part,
        |start, out| {
            let here = start..start + out[0].len();
            widest(Update { from: data.map(|x| &x[here.clone()]), to: out, rates });
        },
    );
    buffers.map(|buffer| Array::from_written::<T>(dims, buffer))
}

/// The operations are those of the formula in ops, one by one, and so are the bits.
struct Update<'a, T> {
    /// The parameter, its moments and its gradient.
    from: [&'a [T]; 4],
    /// The parameter and its moments.
    to: [&'a mut [T]; 3],
    rates: AdamRates,
}

impl<T: Real> Loop for Update<'_, T> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let (rates, number) = (self.rates, <T as Scalar>::from_f64);
        let ([keep1, keep2], [scale1, scale2]) = (rates.keep.map(number), rates.scale.map(number));
        let [add1, add2] = rates.keep.map(|keep| number(1.0 - keep));
        let (epsilon, [stay, rate]) = (number(rates.epsilon), rates.step.map(number));
        let ([parameter, mean, square, gradient], [new_parameter, new_mean, new_square]) =
            (self.from, self.to);
        let from = parameter.iter().zip(mean).zip(square).zip(gradient);
        let to = new_parameter.iter_mut().zip(new_mean).zip(new_square);
        for ((((&p, &m), &s), &g), ((new_p, new_m), new_s)) in from.zip(to) {
            let (m, s) = (m * keep1 + g * add1, s * keep2 + g * g * add2);
            let step = m * scale1 / ((s * scale2).sqrt() + epsilon);
            (*new_p, *new_m, *new_s) = (p * stay - step * rate, m, s);
        }
    }
}
