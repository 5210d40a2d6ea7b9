//! Recursive halving: who meets whom, so that after `log2` of them many rounds each has what all have of a part of the
//! data.
//!
//! The members stand in cells, a power of two of them: two in each of the first ones, where there are more members than
//! cells, else one. The data has two strands, of which a member alone in its cell has both, and one of two has one. In
//! the first round the two of a cell meet. In each later one a cell meets another, further and further away, strand by
//! strand: so a member meets at most two others (Rabenseifner and Träff, 2004, have other ways for numbers that are no
//! power of two).

use std::ops::Range;

/// Where a member stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Stand {
    pub(crate) cell: usize,
    /// Which of the two strands are its own.
    pub(crate) strands: Range<usize>,
}

impl Stand {
    /// That of the member at a place among so many.
    pub(crate) fn of(place: usize, members: usize) -> Self {
        let in_twos = 2 * (members - cells(members));
        if place < in_twos {
            return Self { cell: place / 2, strands: place % 2..place % 2 + 1 };
        }
        Self { cell: place - in_twos / 2, strands: 0..2 }
    }

    /// Whether the two meet in a round.
    fn meets(&self, other: &Self, round: usize) -> bool {
        match round {
            0 => self.cell == other.cell,
            _ => {
                other.cell ^ self.cell == 1 << (round - 1)
                    && !common(&self.strands, &other.strands).is_empty()
            }
        }
    }
}

/// What is in both of two ranges.
pub(crate) fn common(one: &Range<usize>, other: &Range<usize>) -> Range<usize> {
    let start = one.start.max(other.start);
    start..one.end.min(other.end).max(start)
}

fn cells(members: usize) -> usize {
    1 << members.max(1).ilog2()
}

/// How many rounds so many members take.
pub(crate) fn rounds(members: usize) -> usize {
    1 + cells(members).ilog2() as usize
}

/// Whom `me`, one of these members, meets in each round: in order, itself included.
pub(crate) fn meetings(members: &[usize], me: usize) -> Vec<Vec<usize>> {
    let stand = |place| Stand::of(place, members.len());
    let Some(mine) = members.iter().position(|&member| member == me).map(stand) else { return Vec::new() };
    let meets = |round, place: usize| members[place] == me || mine.meets(&stand(place), round);
    let met =
        |round| (0..members.len()).filter(|&place| meets(round, place)).map(|place| members[place]).collect();
    (0..rounds(members.len())).map(met).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_five_and_six_meet() {
        let five = [0, 1, 2, 3, 4].map(|me| meetings(&[0, 1, 2, 3, 4], me));
        assert_eq!(five[0], [vec![0, 1], vec![0, 2], vec![0, 3]]);
        assert_eq!(five[2], [vec![2], vec![0, 1, 2], vec![2, 4]]);
        assert_eq!(five[4], [vec![4], vec![3, 4], vec![2, 4]]);
        assert_eq!(meetings(&[0, 1, 2, 3, 4, 5], 3), [vec![2, 3], vec![1, 3], vec![3, 5]]);
    }

    /// The definition: what each has of either strand is everybody's after the last round, and nobody's twice.
    #[test]
    fn all_that_everybody_has_comes_together_once() {
        for count in 1..=70 {
            // Members that are not numbered without gaps.
            let members: Vec<usize> = (0..count).map(|place| 3 * place + 1).collect();
            let stands: Vec<Stand> = (0..count).map(|place| Stand::of(place, count)).collect();
            let all: Vec<_> = members.iter().map(|&member| meetings(&members, member)).collect();
            let mut known: Vec<[Vec<usize>; 2]> =
                members.iter().map(|&member| [vec![member], vec![member]]).collect();
            for round in 0..rounds(count) {
                let before = known.clone();
                for (me, meetings) in all.iter().enumerate() {
                    let places = meetings[round].iter().map(|member| members.binary_search(member).unwrap());
                    let meeting: Vec<usize> = places.collect();
                    assert!(meeting.is_sorted() && meeting.len() <= 3);
                    for other in meeting.into_iter().filter(|&other| other != me) {
                        assert!(all[other][round].contains(&members[me]), "they meet each other");
                        // Two of a cell begin with both strands.
                        let has = if round == 0 { 0..2 } else { stands[other].strands.clone() };
                        common(&stands[me].strands, &has)
                            .for_each(|strand| known[me][strand].extend(&before[other][strand]));
                    }
                }
            }
            for (stand, mut known) in stands.into_iter().zip(known) {
                for strand in stand.strands {
                    known[strand].sort_unstable();
                    assert_eq!(known[strand], members, "{count}");
                }
            }
        }
    }
}
