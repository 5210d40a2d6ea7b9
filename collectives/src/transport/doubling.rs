//! Recursive doubling: who meets whom, so that after `log2` of them many rounds everybody has what all have.
//!
//! The members are halved, and the halves again, until each is alone. The rounds go the way back: in each, everybody in
//! a half meets somebody in the other one, and then both know the whole. Halves may differ by one member; its partner
//! then meets two. So any number of members takes `log2`, rounded up, rounds (Rabenseifner and Träff, 2004, have other
//! ways for numbers that are no power of two).

/// Whom `me`, one of these members, meets in each round: in order, itself included.
pub(crate) fn meetings(members: &[usize], me: usize) -> Vec<Vec<usize>> {
    let (mut half, mut meetings) = (members, Vec::new());
    for _ in 0..members.len().next_power_of_two().ilog2() {
        let (left, right) = half.split_at(half.len().div_ceil(2));
        meetings.push(meeting(left, right, me));
        half = if left.contains(&me) { left } else { right };
    }
    meetings.reverse();
    meetings
}

/// Whom `me` meets where the left half has as many members as the right one, or one more.
fn meeting(left: &[usize], right: &[usize], me: usize) -> Vec<usize> {
    let pair = |(at, &member): (usize, &usize)| [Some(member), right.get(at).or(right.last()).copied()];
    let pairs = left.iter().enumerate().map(pair);
    let mut meeting: Vec<usize> = pairs.filter(|pair| pair.contains(&Some(me))).flatten().flatten().collect();
    meeting.sort_unstable();
    meeting.dedup();
    meeting
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Members that are not numbered without gaps.
    fn members(count: usize) -> Vec<usize> {
        (0..count).map(|place| 3 * place + 1).collect()
    }

    #[test]
    fn whom_five_meet() {
        let five = [0, 1, 2, 3, 4].map(|me| meetings(&[0, 1, 2, 3, 4], me));
        assert_eq!(five[0], [vec![0, 1], vec![0, 2], vec![0, 3]]);
        assert_eq!(five[2], [vec![2], vec![0, 1, 2], vec![2, 4]]);
        assert_eq!(five[4], [vec![4], vec![3, 4], vec![1, 2, 4]]);
    }

    #[test]
    fn everybody_gets_everything_once() {
        for count in 1..=70 {
            let members = members(count);
            let rounds: Vec<_> = members.iter().map(|&me| meetings(&members, me)).collect();
            let place = |member: &usize| members.binary_search(member).unwrap();
            let mut known: Vec<BTreeSet<usize>> = members.iter().map(|&member| [member].into()).collect();
            for round in 0..count.next_power_of_two().ilog2() as usize {
                let before = known.clone();
                for (me, meetings) in rounds.iter().enumerate() {
                    let meeting = &meetings[round];
                    assert!(meeting.len() <= 3 && meeting.is_sorted());
                    if let [first, middle, last] = meeting[..] {
                        assert_eq!((last, &before[place(&first)]), (members[me], &before[place(&middle)]));
                    }
                    for other in meeting.iter().map(place).filter(|&other| other != me) {
                        assert!(rounds[other][round].contains(&members[me]), "they meet each other");
                        let new = before[other].is_disjoint(&before[me]);
                        assert!(new, "round {round} of {count}: {me} has something of {other}'s");
                        known[me].extend(&before[other]);
                    }
                }
            }
            assert!(known.iter().all(|known| known.len() == count), "{count}");
        }
    }
}
