//! Who owns which positions of an axis.

use std::ops::Range;

/// How many blocks so many positions make.
pub fn blocks(positions: u64, block: u64) -> u64 {
    positions.div_ceil(block)
}

/// The blocks that member `index` of `members` owns: whole ones, in order, as evenly as they go. Blocks are
/// the leaves of the reduction tree, so this is also the member's range of leaves.
///
/// ```
/// use axisgrad_collectives::axis::share_of_blocks;
/// assert_eq!(share_of_blocks(100, 32, 3, 1), 1..2); // 100 positions are 4 blocks
/// assert_eq!(share_of_blocks(100, 32, 3, 2), 2..4);
/// ```
pub fn share_of_blocks(positions: u64, block: u64, members: usize, index: usize) -> Range<u64> {
    assert!(block > 0 && index < members, "member {index} of {members}, blocks of {block}");
    let (blocks, members, index) = (blocks(positions, block), members as u64, index as u64);
    index * blocks / members..(index + 1) * blocks / members
}

/// The positions that member `index` of `members` owns; the last block may be ragged, and where there are
/// fewer blocks than members some own nothing.
///
/// ```
/// use axisgrad_collectives::axis::share;
/// assert_eq!(share(100, 32, 3, 1), 32..64);
/// assert_eq!(share(100, 32, 3, 2), 64..100);
/// ```
pub fn share(positions: u64, block: u64, members: usize, index: usize) -> Range<u64> {
    let blocks = share_of_blocks(positions, block, members, index);
    (blocks.start * block).min(positions)..(blocks.end * block).min(positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_every_position_once() {
        for positions in [0, 1, 31, 32, 33, 100, 1000] {
            for members in 1..7 {
                let mut next = 0;
                for index in 0..members {
                    let range = share(positions, 32, members, index);
                    assert_eq!(range.start, next.min(positions));
                    assert!(range.start.is_multiple_of(32) || range.is_empty());
                    next = range.end;
                }
                assert_eq!(next, positions);
            }
        }
    }
}
