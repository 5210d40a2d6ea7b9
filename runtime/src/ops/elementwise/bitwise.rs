//! The bits of integers. They have no derivative.

use super::elementwise;
use crate::tensor::Tensor;

elementwise! {
    /// The bits that both have.
    pub bitwise_and: BitAnd [integer -> same] (a, b) = a & b; |ct, y| []

    /// The bits that one or both have.
    pub bitwise_or: BitOr [integer -> same] (a, b) = a | b; |ct, y| []

    /// The bits that just one of two has.
    pub bitwise_xor: BitXor [integer -> same] (a, b) = a ^ b; |ct, y| []

    /// The bits that it has not.
    pub bitwise_not: BitNot [integer -> same] (x) = !x; |ct, y| []

    /// The bits of *a* moved *b* places up, zeros after them; moved out of sight, 0.
    pub left_shift: LeftShift [integer -> same] (a, b) =
        if (b as u64) < u64::from(T::BITS) { a << b } else { 0 };
        |ct, y| []

    /// The bits of *a* moved *b* places down; a negative number stays negative.
    pub right_shift: RightShift [integer -> same] (a, b) = {
        let places = (b as u64).min(u64::from(T::BITS));
        // In two steps: a shift by all bits is none.
        (a >> (places / 2)) >> (places - places / 2)
    }; |ct, y| []
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_lanes;

    #[test]
    fn values() {
        let (a, b) = (Tensor::from([0b1100, -1]), Tensor::from([0b1010, 1]));
        assert_eq!(bitwise_and(&a, &b).to_vec::<i32>(), [0b1000, 1]);
        assert_eq!(bitwise_or(&a, &b).to_vec::<i32>(), [0b1110, -1]);
        assert_eq!(bitwise_xor(&a, &b).to_vec::<i32>(), [0b0110, -2]);
        assert_eq!(bitwise_not(&a).to_vec::<i32>(), [-13, 0]);
        assert_eq!(left_shift(&a, 31).to_vec::<i32>(), [0, i32::MIN]);
        assert_eq!(right_shift(&a, 40).to_vec::<i32>(), [0, -1]);
        assert_eq!(right_shift(Tensor::from([200u8, 3]), 1).to_vec::<u8>(), [100, 1]);
        assert_eq!(left_shift(Tensor::from([1u32, 3]), 31).to_vec::<u32>(), [1 << 31, 1 << 31]);
        assert_eq!(right_shift(Tensor::from(u64::MAX), 64).item::<u64>(), 0);
    }

    #[test]
    fn lanes() {
        check_lanes(
            |a: &Tensor, b: &Tensor| bitwise_xor(a, b),
            (&Tensor::from([[1, 2], [3, 4]]), &Tensor::from([[7, 7], [1, 2]])),
        );
    }

    #[test]
    #[should_panic(expected = "bitwise_and: its elements must be integers, and they are f64")]
    fn floats_have_no_bits_here() {
        bitwise_and(Tensor::from(1.0), 2);
    }
}
