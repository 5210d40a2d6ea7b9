//! Text as numbers, and rows of it.

use std::collections::BTreeSet;

use crate::array::Array;
use crate::tensor::Tensor;

/// The characters that occur in a text, each known by its number in alphabetical order.
///
/// ```
/// use axisgrad::data::Vocabulary;
/// let letters = Vocabulary::of("banana");
/// assert_eq!(letters.encode("nab").unwrap(), [2, 0, 1]);
/// assert_eq!(letters.decode(&[1, 0, 2]), "ban");
/// assert_eq!(letters.encode("bad"), Err('d'));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary(Vec<char>);

impl Vocabulary {
    /// Those of `text`.
    pub fn of(text: &str) -> Self {
        Self(text.chars().collect::<BTreeSet<char>>().into_iter().collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers of the characters of `text`.
    ///
    /// # Errors
    /// The first character that is not known.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>, char> {
        let number = |c: char| self.0.binary_search(&c).map(|i| i as i32).map_err(|_| c);
        text.chars().map(number).collect()
    }

    /// The characters of numbers.
    ///
    /// # Panics
    /// If a number is out of range.
    #[track_caller]
    pub fn decode(&self, numbers: &[i32]) -> String {
        numbers.iter().map(|&i| self.0[i as usize]).collect()
    }
}

/// Windows of `length` numbers, one every `stride`, and for each number the one that follows it: rows of a data set
/// for [`Batches`](super::Batches), `-> i32[n,length], i32[n,length]`.
///
/// ```
/// use axisgrad::data::windows;
/// let (x, y) = windows(&[10, 11, 12, 13, 14, 15], 3, 2);
/// assert_eq!(x.to_vec::<i32>(), [10, 11, 12, 12, 13, 14]);
/// assert_eq!(y.to_vec::<i32>(), [11, 12, 13, 13, 14, 15]);
/// ```
///
/// # Panics
/// If a length or stride is 0, or there are not more numbers than the length.
#[track_caller]
pub fn windows(numbers: &[i32], length: usize, stride: usize) -> (Tensor, Tensor) {
    assert!(length > 0 && stride > 0, "windows: a length and a stride are 1 or more");
    assert!(
        numbers.len() > length,
        "windows: {} numbers are too few for {length} and the next",
        numbers.len()
    );
    let starts = (0..numbers.len() - length).step_by(stride);
    let rows = |shift: usize| {
        let data: Vec<i32> =
            starts.clone().flat_map(|at| &numbers[at + shift..][..length]).copied().collect();
        Tensor::from(Array::from_vec(data, [starts.len(), length]))
    };
    (rows(0), rows(1))
}
