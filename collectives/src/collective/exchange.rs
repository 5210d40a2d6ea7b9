//! A reduction among ranks of one machine, through the memory that they share.
//!
//! The result is cut into **targets**, one for each member, or one for all where it is small. In each step a member
//! posts a piece of what it has for every other's target, reduces the piece of its own target from what all have
//! posted, and in the next step posts the result along with the next piece. So a sum of `k` pieces takes `k + 1` steps,
//! and what is exchanged stays in the caches. The first step carries the signature and the subtrees, and the data too
//! where all of it fits.

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::all_reduce::Reduce;
use super::tree::{Move, Node, Plan, evaluate};
use super::{Member, Step};
use crate::buffer::{Buffer, Claim, bytes_of, cast, cast_mut};
use crate::element::Element;
use crate::error::Result;
use crate::roster::LastCall;
use crate::signature::{Signature, disagreement, take};
use crate::transport::window::{Board, Slots};
use crate::transport::{Parts, Reach};

/// Room for what a call says of itself.
const HEADER: usize = 4 << 10;
/// In place of a number of subtrees that do not fit.
const TOO_MANY: u64 = u64::MAX;
/// Elements that pieces are cut at.
const GRAIN: usize = 16;

/// A step that goes on as others post, not as messages arrive.
pub(crate) trait Exchanging<O>: Send {
    /// Goes as far as it can; what follows when it is done.
    fn advance(&mut self, member: &Member, number: u64, mine: &Arc<Signature>) -> Result<Option<Step<O>>>;
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
    pub(crate) targets: Vec<Range<usize>>,
    /// Of each target the values of the subtrees.
    pub(crate) parts: Vec<Parts>,
    /// Whether all members get the whole result, and not each its target.
    pub(crate) gather: bool,
    /// Memory for what this member gets.
    pub(crate) claim: Claim,
}

/// How an exchange ends: the claim is filled, or, where that is false, somebody's subtrees are too many for it.
pub(crate) type Ended = Box<dyn FnOnce(&Member, bool, Claim) -> Result<Step<Buffer>> + Send>;

/// The exchange, as a step.
pub(crate) fn exchange<T: Element>(member: &Member, task: Task<T>, ended: Ended) -> Step<Buffer> {
    let place = member.layout.place(Reach::Across);
    let target = if task.targets.len() == 1 { 0 } else { place };
    let state = Some((task, ended));
    Step::Exchange(Box::new(Exchange { state, place, target, stage: Stage::Start }))
}

struct Exchange<T> {
    /// Until it is done.
    state: Option<(Task<T>, Ended)>,
    /// This member among those across the ranks.
    place: usize,
    /// Which of the targets is this member's.
    target: usize,
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
    moves: Vec<Move>,
    /// How many each member has.
    parts: SmallVec<[usize; 8]>,
    /// Elements of a piece of a target.
    piece: usize,
    /// Pieces of the longest target.
    pieces: usize,
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

impl<T: Element> Exchanging<Buffer> for Exchange<T> {
    fn advance(
        &mut self,
        member: &Member,
        number: u64,
        mine: &Arc<Signature>,
    ) -> Result<Option<Step<Buffer>>> {
        let Some((turns, (task, _))) = member.turns.as_ref().zip(self.state.as_mut()) else {
            return Ok(None);
        };
        let Some(mut board) = turns.board(task.turn) else { return Ok(None) };
        let mut at = At { task, place: self.place, target: self.target, slot: Slot::of(&board) };
        while board.is_complete() {
            let turn = match &mut self.stage {
                Stage::Start => at.open(&mut board, number, mine),
                Stage::Met => match at.meet(member, &mut board, number, mine)? {
                    Ok(course) => {
                        self.stage = Stage::Course(course);
                        continue;
                    }
                    Err(turn) => turn,
                },
                Stage::Course(course) => at.go_on(course, &mut board),
            };
            match turn {
                Turn::Posted if matches!(self.stage, Stage::Start) => self.stage = Stage::Met,
                Turn::Posted => {}
                Turn::Elsewhere => return Ok(None),
                Turn::Done | Turn::Refused => {
                    drop(board);
                    turns.pass_on();
                    let (task, ended) = self.state.take().expect("it ends once");
                    return ended(member, matches!(turn, Turn::Done), task.claim).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn missing(&self, member: &Member) -> Vec<usize> {
        let late = member.turns.as_ref().map_or_else(Vec::new, |turns| turns.late());
        let across = member.layout.members(Reach::Across);
        late.into_iter().map(|place| across[place]).collect()
    }
}

/// Where things are in a slot: a header, then data, then results, which take half as much.
#[derive(Clone, Copy)]
struct Slot {
    results: usize,
    end: usize,
}

impl Slot {
    fn of(board: &Board) -> Self {
        let end = board.slot_len();
        Self { results: HEADER + (end - HEADER) * 2 / 3 / 64 * 64, end }
    }

    fn room(self) -> usize {
        self.results - HEADER
    }

    /// So many elements of a member's data from the `start`th on.
    fn data<T: Element>(self, slot: &[u8], start: usize, len: usize) -> &[T] {
        cast(&slot[HEADER..self.results][start * size_of::<T>()..][..len * size_of::<T>()])
    }

    /// The same of its results.
    fn result<T: Element>(self, slot: &[u8], len: usize) -> &[T] {
        cast(&slot[self.results..self.end][..len * size_of::<T>()])
    }
}

/// A task, seen from a member.
struct At<'t, T> {
    task: &'t mut Task<T>,
    place: usize,
    target: usize,
    slot: Slot,
}

impl<T: Element> At<'_, T> {
    fn longest(&self) -> usize {
        self.task.targets.iter().map(Range::len).max().unwrap_or(0)
    }

    /// Whether all data of a member with so many subtrees fits a slot.
    fn fits(&self, parts: usize) -> bool {
        self.task.targets.len() * parts * self.longest() * size_of::<T>() <= self.slot.room()
    }

    /// The longest piece of which every member's data fits a slot.
    fn piece(&self, parts: usize) -> usize {
        let piece = self.slot.room() / (self.task.targets.len() * parts * size_of::<T>()).max(1);
        if piece > GRAIN { piece / GRAIN * GRAIN } else { piece.max(1) }
    }

    /// Says what is called, and lays down the data if it fits.
    fn open(&mut self, board: &mut Board, number: u64, mine: &Signature) -> Turn {
        let (next, _) = board.begin();
        write_header(&mut next[..HEADER], number, &self.task.nodes, mine);
        if self.fits(self.task.nodes.len()) {
            self.lay_down(next, 0, self.longest());
        }
        board.post();
        Turn::Posted
    }

    /// Compares what all call, and finds how to go on.
    fn meet(
        &mut self,
        member: &Member,
        board: &mut Board,
        number: u64,
        mine: &Arc<Signature>,
    ) -> Result<Result<Course, Turn>> {
        let (_, slots) = board.begin();
        let mut heard = Heard::default();
        for place in 0..slots.len() {
            let known = (place == self.place).then_some(mine);
            if !heard.read(slots.of(place), number, known)? {
                return Ok(Err(Turn::Elsewhere));
            }
        }
        heard.compare(member, number)?;
        let Some(nodes) = heard.nodes else { return Ok(Err(Turn::Refused)) };
        let Reduce { leaves, .. } = self.task.reduce;
        if leaves == 0 {
            crate::buffer::clear::<T>(self.task.claim.as_mut_slice());
            return Ok(Err(Turn::Done));
        }
        let mut plan = Plan::new(&nodes, leaves)?;
        plan.complete(leaves)?;
        let (_, moves) = plan.roots.pop().expect("a complete plan has one root");
        let most = heard.parts.iter().copied().max().unwrap_or(0);
        let (piece, posted) = if self.fits(most) { (self.longest(), 1) } else { (self.piece(most), 0) };
        let pieces = self.longest().div_ceil(piece.max(1));
        Ok(Ok(Course { moves, parts: heard.parts, piece, pieces, posted }))
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

    /// Where a piece of a target is in the claim.
    fn in_claim(&self, target: usize, cut: &Range<usize>) -> Range<usize> {
        let whole = self.task.gather || self.task.targets.len() == 1;
        let start = if whole { self.task.targets[target].start } else { 0 };
        start + cut.start..start + cut.end
    }

    /// Writes the `at`th piece of what this member has for the others.
    fn lay_down(&self, next: &mut [u8], at: usize, piece: usize) {
        let data: &mut [T] = cast_mut(&mut next[HEADER..self.slot.results]);
        for (target, parts) in self.task.parts.iter().enumerate() {
            if target == self.target && self.task.targets.len() > 1 {
                continue;
            }
            let cut = self.cut(target, at, piece);
            for (i, part) in parts.iter().enumerate() {
                let start = (target * parts.len() + i) * piece;
                data[start..start + cut.len()].copy_from_slice(&part.as_slice()[cut.clone()]);
            }
        }
    }

    /// Reduces the `at`th piece of this member's target.
    fn reduce(&mut self, course: &Course, slots: Slots, at: usize, next: &mut [u8]) {
        let cut = self.cut(self.target, at, course.piece);
        let out = self.in_claim(self.target, &cut);
        let mut inputs = SmallVec::<[&[T]; 8]>::new();
        for (place, &parts) in course.parts.iter().enumerate() {
            if place == self.place {
                let mine = self.task.parts[self.target].iter();
                inputs.extend(mine.map(|part| &part.as_slice()[cut.clone()]));
                continue;
            }
            let start = |i| (self.target * parts + i) * course.piece;
            inputs.extend((0..parts).map(|i| self.slot.data(slots.of(place), start(i), cut.len())));
        }
        let out = &mut self.task.claim.as_mut_slice::<T>()[out];
        evaluate(&course.moves, &inputs, self.task.reduce.combine, out);
        if self.task.gather {
            let result = bytes_of(out);
            next[self.slot.results..][..result.len()].copy_from_slice(result);
        }
    }

    /// Takes the others' results of the `at`th piece.
    fn take_results(&mut self, course: &Course, slots: Slots, at: usize) {
        for place in (0..slots.len()).filter(|&place| place != self.place) {
            let cut = self.cut(place, at, course.piece);
            let out = self.in_claim(place, &cut);
            let result = self.slot.result(slots.of(place), cut.len());
            self.task.claim.as_mut_slice::<T>()[out].copy_from_slice(result);
        }
    }
}

fn write_header(header: &mut [u8], number: u64, nodes: &[Node], signature: &Signature) {
    let mut bytes = Vec::with_capacity(512);
    let put = |bytes: &mut Vec<u8>, word: u64| bytes.extend_from_slice(&word.to_le_bytes());
    put(&mut bytes, number);
    signature.encode(&mut bytes);
    put(&mut bytes, nodes.len() as u64);
    nodes.iter().for_each(|node| {
        put(&mut bytes, u64::from(node.level));
        put(&mut bytes, node.index);
    });
    if bytes.len() > header.len() {
        bytes.clear();
        put(&mut bytes, number);
        Signature { rest: SmallVec::new(), ..signature.clone() }.encode(&mut bytes);
        put(&mut bytes, TOO_MANY);
    }
    header[..bytes.len()].copy_from_slice(&bytes);
}

/// What the headers of all members say.
struct Heard {
    signatures: SmallVec<[Arc<Signature>; 4]>,
    parts: SmallVec<[usize; 8]>,
    /// `None` where somebody's do not fit.
    nodes: Option<SmallVec<[Node; 8]>>,
}

impl Default for Heard {
    fn default() -> Self {
        Self { signatures: SmallVec::new(), parts: SmallVec::new(), nodes: Some(SmallVec::new()) }
    }
}

impl Heard {
    /// Reads a member's header; false if it is in another call of the group. A `known` signature is its own.
    fn read(&mut self, mut header: &[u8], number: u64, known: Option<&Arc<Signature>>) -> Result<bool> {
        if take(&mut header)? != number {
            return Ok(false);
        }
        let signature = Signature::decode(&mut header)?;
        self.signatures.push(known.cloned().unwrap_or_else(|| Arc::new(signature)));
        match take(&mut header)? {
            TOO_MANY => self.nodes = None,
            count => {
                self.parts.push(count as usize);
                for _ in 0..count {
                    let node = Node { level: take(&mut header)? as u32, index: take(&mut header)? };
                    self.nodes.iter_mut().for_each(|nodes| nodes.push(node));
                }
            }
        }
        Ok(true)
    }

    /// Checks that all make the same call.
    fn compare(&self, member: &Member, number: u64) -> Result<()> {
        for signature in &self.signatures {
            member.seat.roster.check(signature)?;
            let (group, signature) = (member.name.clone(), signature.clone());
            member.seat.roster.record(LastCall { group, number, signature });
        }
        match disagreement(&member.name, self.signatures.iter().map(|signature| &**signature)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
