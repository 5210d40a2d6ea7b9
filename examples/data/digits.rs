//! The handwritten digits of the UCI repository: 1,797 images of 8×8 pixels. See `README.md` in this directory.

/// Pixels along one side of an image.
pub const SIDE: usize = 8;

/// Pixels of one image, row by row.
pub const PIXELS: usize = SIDE * SIDE;

/// Digits to tell apart.
pub const CLASSES: usize = 10;

/// Images and their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Digits {
    /// [`PIXELS`] numbers from 0 (paper) to 1 (ink) for each image.
    pub images: Vec<f32>,
    /// The digit that each image shows, 0 to 9.
    pub labels: Vec<i32>,
}

impl Digits {
    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// The 1,438 images to train on: all but those of [`test`](test()).
pub fn train() -> Digits {
    select(|index| index % 5 != 4)
}

/// The 359 images to test on: every fifth.
pub fn test() -> Digits {
    select(|index| index % 5 == 4)
}

fn select(wanted: impl Fn(usize) -> bool) -> Digits {
    let lines = include_str!("digits.txt").lines().enumerate();
    let mut digits = Digits { images: Vec::new(), labels: Vec::new() };
    for (_, line) in lines.filter(|&(index, _)| wanted(index)) {
        let (label, pixels) = line.split_at(2);
        digits.labels.push(i32::from(label.as_bytes()[0] - b'0'));
        digits.images.extend(pixels.bytes().map(|pixel| f32::from(pixel - b'a') / 16.0));
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_whole() {
        let (train, test) = (train(), test());
        assert_eq!((train.len(), test.len()), (1438, 359));
        for digits in [&train, &test] {
            assert_eq!(digits.images.len(), digits.len() * PIXELS);
            assert!(digits.images.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
            let counts = (0..10).map(|digit| digits.labels.iter().filter(|&&label| label == digit).count());
            assert!(counts.clone().all(|count| count >= 20), "{:?}", counts.collect::<Vec<_>>());
        }
        let ink: f32 = train.images.iter().chain(&test.images).map(|pixel| pixel * 16.0).sum();
        assert_eq!(ink, 561_718.0);
        let labels: i32 = train.labels.iter().chain(&test.labels).sum();
        assert_eq!(labels, 8070);
    }

    #[test]
    fn the_first_image_is_a_zero() {
        let digits = train();
        assert_eq!(digits.labels[0], 0);
        assert_eq!(
            digits.images[..8].iter().map(|p| (p * 16.0) as u8).collect::<Vec<_>>(),
            [0, 0, 5, 13, 9, 1, 0, 0]
        );
    }
}
