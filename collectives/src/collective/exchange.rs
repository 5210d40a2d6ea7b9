//! A reduction among ranks of one machine, or threads of one rank, through the memory that they share.
//!
//! The result is cut into **targets**, one for each member, or one that every member reduces for itself where it is
//! small. In each step a member posts a piece of what it has for
//! every other's target, reduces the piece of its own target from what all have posted, and in the next step posts the
//! result along with the next piece. So a sum of `k` pieces takes `k + 1` steps, and what is exchanged stays in the
//! caches. The first step carries the signature and the subtrees, and the data too where all of it fits.

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::all_reduce::Reduce;
use super::header::{self, HEADER, Heard};
use super::tree::{CHUNK, Moves, Node, Plan, evaluate};
use super::{Member, Step};
use crate::buffer::{Buffer, Claim, bytes_of, cast};
use crate::element::Element;
use crate::error::Result;
use crate::signature::Signature;
use crate::transport::Parts;
use crate::transport::window::{Board, Slots};

/// Elements that pieces are cut at.
const GRAIN: usize = 16;
/// Bytes of a line of the cache.
const LINE: usize = 64;
/// Most bytes of data that the first step carries, and that a later one does: they stay in the second-level cache along
/// with where they come from and where they go.
const FIRST: usize = 128 << 10;
const PIECE: usize = 128 << 10;

/// A step that goes on as others post, not as messages arrive.
pub(crate) trait Exchanging<O>: Send {
    /// Goes as far as it can; what follows when it is done.
    fn advance(
        &mut self,
        member: &Member,
        number: u64,
        mine: &Arc<Signature>,
        looks: u32,
    ) -> Result<Option<Step<O>>>;
    /// Members that have not come.
    fn missing(&self, member: &Member) -> Vec<usize>;
}

/// What an exchange is to do.
pub(crate) struct Task<T> {
    pub(crate) reduce: Reduce<T>,
    /// This call's turn at the board.
    pub(crate) turn: u64,
    /// The subtrees of which this member has the values.
    pub(crate) nodes: SmallVec<[Node; 2]>,
    /// The ranges of the result that the members reduce, in order; a single one is reduced by all.
    pub(crate) targets: SmallVec<[Range<usize>; 2]>,
    /// Of each target the values of the subtrees; none at all where `out` holds those of the only subtree.
    pub(crate) parts: SmallVec<[Parts; 1]>,
    /// Whether all members get the whole result, and not each its target.
    pub(crate) gather: bool,
    /// Memory for what this member gets.
    pub(crate) out: Out,
}

/// Memory to write to.
pub(crate) enum Out {
    /// A buffer that nobody else has.
    Sole(Buffer),
    Share(Claim),
}

impl Out {
    fn as_mut_slice<T: Element>(&mut self) -> &mut [T] {
        match self {
            Self::Sole(buffer) => buffer.get_mut().expect("nobody else has it"),
            Self::Share(claim) => claim.as_mut_slice(),
        }
    }
}

/// How an exchange ends: `out` is filled, or, where that is false, somebody's subtrees are too many for it, and all is
/// as it was.
pub(crate) trait Ended<T>:
    FnOnce(&Member, bool, Task<T>) -> Result<Step<Buffer>> + Send + 'static
{
}
impl<T, F: FnOnce(&Member, bool, Task<T>) -> Result<Step<Buffer>> + Send + 'static> Ended<T> for F {}

/// The exchange, as a step.
pub(crate) fn exchange<T: Element>(member: &Member, task: Task<T>, ended: impl Ended<T>) -> Step<Buffer> {
    let place = member.layout.place(member.far());
    let target = if task.targets.len() == 1 { 0 } else { place };
    let state = Some((task, ended));
    Step::Exchange(Box::new(Exchange { state, place, target, signed: 0, stage: Stage::Start }))
}

struct Exchange<T, E> {
    /// Until it is done.
    state: Option<(Task<T>, E)>,
    /// This member among those across the ranks.
    place: usize,
    /// Which of the targets is this member's.
    target: usize,
    /// Bytes of this member's header up to its subtrees.
    signed: usize,
    stage: Stage,
}

enum Stage {
    /// Nothing is posted.
    Start,
    /// The header is, perhaps with the data.
    Met,
    /// The data is under way.
    Course(Course),
}

/// How the data goes.
struct Course {
    /// How the members' subtrees are joined.
    moves: Moves,
    /// How many each member has.
    parts: SmallVec<[usize; 8]>,
    /// Elements of a piece of a target.
    piece: usize,
    /// Pieces of the longest target.
    pieces: usize,
    /// Where in a slot the result of a piece is.
    results: usize,
    /// Pieces that have been posted. The last step carries the last of them, and the result of the one before.
    posted: usize,
}

/// What becomes of an exchange in a step.
enum Turn {
    /// The next step is posted.
    Posted,
    /// A member is in another call; its messages will tell in which.
    Elsewhere,
    Done,
    Refused,
}

impl<T: Element, E: Ended<T>> Exchanging<Buffer> for Exchange<T, E> {
    fn advance(
        &mut self,
        member: &Member,
        number: u64,
        mine: &Arc<Signature>,
        looks: u32,
    ) -> Result<Option<Step<Buffer>>> {
        let Some((turns, (task, _))) = member.turns.as_ref().zip(self.state.as_mut()) else {
            return Ok(None);
        };
        let Some(mut board) = turns.board(task.turn) else { return Ok(None) };
        let room = board.slot_len() - HEADER;
        let mut at = At { task, place: self.place, target: self.target, room };
        while board.completes(looks) {
            let turn = match &mut self.stage {
                Stage::Start => {
                    self.signed = at.open(&mut board, number, mine);
                    self.stage = Stage::Met;
                    Turn::Posted
                }
                Stage::Met => match at.meet(member, &mut board, number, mine, self.signed)? {
                    Ok(course) => {
                        self.stage = Stage::Course(course);
                        continue;
                    }
                    Err(turn) => turn,
                },
                Stage::Course(course) => at.go_on(course, &mut board),
            };
            match turn {
                Turn::Posted => member.knock(),
                Turn::Elsewhere => return Ok(None),
                Turn::Done | Turn::Refused => {
                    drop(board);
                    turns.pass_on();
                    let (task, ended) = self.state.take().expect("it ends once");
                    return ended(member, matches!(turn, Turn::Done), task).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn missing(&self, member: &Member) -> Vec<usize> {
        let late = member.turns.as_ref().map_or_else(Vec::new, |turns| turns.late());
        let members = member.layout.members(member.far());
        late.into_iter().map(|place| members[place]).collect()
    }
}

/// So many elements of what a member has put into its slot, from the byte `at` on.
fn elements<T: Element>(slot: &[u8], at: usize, len: usize) -> &[T] {
    cast(&slot[at..][..len * size_of::<T>()])
}

/// A task, seen from a member.
struct At<'t, T> {
    task: &'t mut Task<T>,
    place: usize,
    target: usize,
    /// Bytes of a slot behind its header: for data, and behind that for the result of one piece.
    room: usize,
}

impl<T: Element> At<'_, T> {
    fn longest(&self) -> usize {
        self.task.targets.iter().map(Range::len).max().unwrap_or(0)
    }

    /// The targets that a member has data for in its slot: all but its own, which it reduces where its data is.
    fn laid_down(&self) -> usize {
        (self.task.targets.len() - 1).max(1)
    }

    /// Whether all data of a member with so many subtrees fits a slot.
    fn fits(&self, parts: usize) -> bool {
        let (data, all) = (self.laid_down() * parts, self.laid_down() * parts + 1);
        let bytes = self.longest() * size_of::<T>();
        data * bytes <= FIRST && all * bytes + LINE <= self.room
    }

    /// The longest piece of which every member's data fits a slot, and its result; `None` if not one element does.
    fn piece(&self, parts: usize) -> Option<usize> {
        let room = self.room.saturating_sub(LINE) / (self.laid_down() * parts.max(1) + 1);
        let piece = room.min(PIECE) / size_of::<T>();
        let piece = if piece > GRAIN { piece / GRAIN * GRAIN } else { piece };
        (piece > 0).then_some(piece)
    }

    /// Says what is called, and lays down the data if it fits.
    fn open(&mut self, board: &mut Board, number: u64, mine: &Signature) -> usize {
        let (next, _) = board.begin();
        let signed = header::write(&mut next[..HEADER], number, &self.task.nodes, mine);
        if self.fits(self.task.nodes.len()) {
            self.lay_down(next, 0, self.longest());
        }
        board.post();
        signed
    }

    /// Compares what all call, and finds how to go on.
    fn meet(
        &mut self,
        member: &Member,
        board: &mut Board,
        number: u64,
        mine: &Arc<Signature>,
        signed: usize,
    ) -> Result<Result<Course, Turn>> {
        let (_, slots) = board.begin();
        let Some(heard) = Heard::of_all(member, slots, self.place, number, mine, signed)? else {
            return Ok(Err(Turn::Elsewhere));
        };
        let Some(nodes) = heard.nodes else { return Ok(Err(Turn::Refused)) };
        let Reduce { leaves, .. } = self.task.reduce;
        if leaves == 0 {
            crate::buffer::clear::<T>(self.task.out.as_mut_slice());
            return Ok(Err(Turn::Done));
        }
        let mut plan = Plan::new(&nodes, leaves)?;
        plan.complete(leaves)?;
        let (_, moves) = plan.roots.pop().expect("a complete plan has one root");
        let most = heard.parts.iter().copied().max().unwrap_or(0);
        let whole = self.fits(most).then(|| (self.longest(), 1));
        let Some((piece, posted)) = whole.or_else(|| Some((self.piece(most)?, 0))) else {
            return Ok(Err(Turn::Refused));
        };
        let pieces = self.longest().div_ceil(piece.max(1));
        let results = HEADER + (self.laid_down() * most * piece * size_of::<T>()).next_multiple_of(LINE);
        Ok(Ok(Course { moves, parts: heard.parts, piece, pieces, results, posted }))
    }

    /// Takes in what the last step carries, and posts the next one if there is anything for it.
    fn go_on(&mut self, course: &mut Course, board: &mut Board) -> Turn {
        let (next, slots) = board.begin();
        let (posted, mut more) = (course.posted, false);
        if self.task.gather && posted >= 2 {
            self.take_results(course, slots, posted - 2);
        }
        if (1..=course.pieces).contains(&posted) {
            self.reduce(course, slots, posted - 1, next);
            more = self.task.gather;
        }
        if posted < course.pieces {
            self.lay_down(next, posted, course.piece);
            more = true;
        }
        course.posted += 1;
        if !more {
            return Turn::Done;
        }
        board.post();
        Turn::Posted
    }

    /// The `at`th piece of a target.
    fn cut(&self, target: usize, at: usize, piece: usize) -> Range<usize> {
        let len = self.task.targets[target].len();
        (at * piece).min(len)..((at + 1) * piece).min(len)
    }

    /// Where a piece of a target is in the memory for the result.
    fn in_out(&self, target: usize, cut: &Range<usize>) -> Range<usize> {
        let whole = self.task.gather || self.task.targets.len() == 1;
        let start = if whole { self.task.targets[target].start } else { 0 };
        start + cut.start..start + cut.end
    }

    /// Writes the `at`th piece of what this member has for the others.
    fn lay_down(&mut self, next: &mut [u8], at: usize, piece: usize) {
        let targets = self.task.targets.len();
        for target in (0..targets).filter(|&target| target != self.target || targets == 1) {
            let (cut, first) = (self.cut(target, at, piece), position(targets, target, self.place));
            let out = self.in_out(target, &cut);
            let mut put = |place: usize, from: &[T]| {
                let bytes = bytes_of(from);
                next[HEADER + place * piece * size_of::<T>()..][..bytes.len()].copy_from_slice(bytes);
            };
            match self.task.parts.get(target) {
                Some(parts) => parts.iter().enumerate().for_each(|(i, part)| {
                    put(first * parts.len() + i, &part.as_slice()[cut.clone()]);
                }),
                None => put(first, &self.task.out.as_mut_slice()[out]),
            }
        }
    }

    /// Reduces the `at`th piece of this member's target.
    fn reduce(&mut self, course: &Course, slots: Slots, at: usize, next: &mut [u8]) {
        let cut = self.cut(self.target, at, course.piece);
        let out = self.in_out(self.target, &cut);
        let Task { parts, targets, out: memory, reduce, gather, .. } = &mut *self.task;
        let out = &mut memory.as_mut_slice::<T>()[out];
        // A target of all has been laid down by all. Else what `out` holds of this member's own is put aside, as much as
        // fits the first-level cache.
        let posted = targets.len() == 1;
        let (mut own, in_place) = (Vec::new(), parts.is_empty() && !posted);
        let step = if in_place { CHUNK } else { out.len().max(1) };
        for (i, out) in out.chunks_mut(step).enumerate() {
            let here = i * step..i * step + out.len();
            if in_place {
                own.clear();
                own.extend_from_slice(out);
            }
            let mut inputs = SmallVec::<[&[T]; 8]>::new();
            for (place, &count) in course.parts.iter().enumerate() {
                let first = position(targets.len(), self.target, place);
                let at = |i| HEADER + ((first * count + i) * course.piece + here.start) * size_of::<T>();
                match parts.get(self.target) {
                    _ if place != self.place || posted => {
                        inputs.extend((0..count).map(|i| elements(slots.of(place), at(i), here.len())));
                    }
                    Some(mine) => inputs.extend(
                        mine.iter()
                            .map(|part| &part.as_slice()[cut.start + here.start..cut.start + here.end]),
                    ),
                    None => inputs.push(&own),
                }
            }
            evaluate(&course.moves, &inputs, reduce.combine, out);
        }
        if *gather {
            let result = bytes_of(out);
            next[course.results..][..result.len()].copy_from_slice(result);
        }
    }

    /// Takes the others' results of the `at`th piece.
    fn take_results(&mut self, course: &Course, slots: Slots, at: usize) {
        for place in (0..slots.len()).filter(|&place| place != self.place) {
            let cut = self.cut(place, at, course.piece);
            let out = self.in_out(place, &cut);
            let result = elements(slots.of(place), course.results, cut.len());
            self.task.out.as_mut_slice::<T>()[out].copy_from_slice(result);
        }
    }
}

/// Where the member at `place` has its data for one of so many targets, among those for others.
fn position(targets: usize, target: usize, place: usize) -> usize {
    target - usize::from(targets > 1 && target > place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_leaves_room_for_every_part_and_a_result() {
        let out = Out::Sole(crate::buffer::Pool::new().zeroed::<f64>(144).freeze());
        let targets = (0..144).map(|i| i..i + 1).collect();
        let mut task = Task::<f64> {
            reduce: Reduce { leaves: 1, len: 144, combine: |_, _, _| {} },
            turn: 0,
            nodes: SmallVec::new(),
            targets,
            parts: SmallVec::new(),
            gather: true,
            out,
        };
        let at = At { task: &mut task, place: 0, target: 0, room: 64 << 10 };
        for parts in 1..300 {
            let needed = |piece: usize| (143 * parts + 1) * piece * size_of::<f64>() + LINE;
            match at.piece(parts) {
                Some(piece) => assert!(needed(piece) <= at.room, "{parts}"),
                None => assert!(needed(1) > at.room, "{parts}"),
            }
        }
    }
}
