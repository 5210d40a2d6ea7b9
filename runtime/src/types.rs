//! Axes and types: what a tensor is, position by position, and what it varies over.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use axisgrad_collectives::Group;
use smallvec::SmallVec;

use crate::array::Dims;
use crate::dtype::DType;
use crate::listed::Listed;

/// A named axis as one worker sees it: its name and size, the positions that are this worker's lanes, and the
/// group of workers that hold the others. Cheap to clone.
#[derive(Clone)]
pub struct Axis(Arc<AxisData>);

struct AxisData {
    name: Arc<str>,
    size: usize,
    lanes: Range<usize>,
    block: usize,
    place: Place,
}

/// Where an axis comes from, which also orders the axes of a tensor.
enum Place {
    /// An axis of the mesh: the names of all of those, its number among them, and its workers.
    Mesh(Arc<[Box<str>]>, usize, Group),
    /// An axis that exists on this worker's lanes only, since the moment `birth` (see [`crate::tape::moment`]).
    Lanes { birth: u64, kind: Lanes },
}

/// What made an axis that is on lanes alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lanes {
    /// Operands that are unstacked along one name share an axis.
    Unstacked,
    /// Every `vmap` has an axis of its own, whatever its name.
    Mapped,
    /// The same without a name that a program could say.
    Nameless,
}

impl Axis {
    /// Number `number` of the axes of a mesh, `names`; `lanes` are the positions that this worker holds.
    pub(crate) fn on_mesh(
        names: &[&str],
        number: usize,
        group: Group,
        size: usize,
        lanes: Range<usize>,
        block: usize,
    ) -> Self {
        let (name, names) = (group.name().into(), names.iter().map(|&name| name.into()).collect());
        Self(Arc::new(AxisData { name, size, lanes, block, place: Place::Mesh(names, number, group) }))
    }

    /// An axis whose positions are all lanes of every worker.
    pub(crate) fn on_lanes(name: &str, size: usize, birth: u64, kind: Lanes) -> Self {
        let place = Place::Lanes { birth, kind };
        Self(Arc::new(AxisData { name: name.into(), size, lanes: 0..size, block: Self::BLOCK, place }))
    }

    /// Positions in one block of a reduction on lanes alone.
    const BLOCK: usize = 32;

    /// The name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How many positions there are, over all workers.
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// The positions that this worker holds.
    pub fn lanes(&self) -> Range<usize> {
        self.0.lanes.clone()
    }

    /// How many consecutive positions are reduced together before the tree joins them.
    pub fn block(&self) -> usize {
        self.0.block
    }

    /// The blocks of the whole axis: the leaves of its reduction tree.
    pub(crate) fn leaves(&self) -> u64 {
        self.0.size.div_ceil(self.0.block) as u64
    }

    /// The workers along the axis; `None` for an axis that is on lanes alone.
    pub fn group(&self) -> Option<&Group> {
        match &self.0.place {
            Place::Mesh(.., group) => Some(group),
            Place::Lanes { .. } => None,
        }
    }

    /// The names of all axes of its mesh; none for an axis that is on lanes alone.
    pub(crate) fn names_on_mesh(&self) -> &[Box<str>] {
        match &self.0.place {
            Place::Mesh(names, ..) => names,
            Place::Lanes { .. } => &[],
        }
    }

    /// The moment at which the axis came to be: mesh axes were always there.
    pub(crate) fn birth(&self) -> u64 {
        match self.0.place {
            Place::Lanes { birth, .. } => birth,
            Place::Mesh(..) => 0,
        }
    }

    /// Whether no program can name it.
    pub(crate) fn is_nameless(&self) -> bool {
        matches!(self.0.place, Place::Lanes { kind: Lanes::Nameless, .. })
    }

    /// Whether no description made apart from it can be one of the same axis.
    fn is_single(&self) -> bool {
        matches!(self.0.place, Place::Lanes { kind: Lanes::Mapped | Lanes::Nameless, .. })
    }

    /// Mesh axes in mesh order, then the others by name: the order of the lane dims in storage, the same on
    /// every worker.
    fn order(&self, other: &Self) -> Ordering {
        let number = |axis: &Self| match &axis.0.place {
            Place::Mesh(_, number, _) => *number,
            Place::Lanes { .. } => usize::MAX,
        };
        number(self).cmp(&number(other)).then_with(|| self.0.name.cmp(&other.0.name))
    }

    /// Whether both are handles to one description.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Of two descriptions of one axis, the older.
    fn elder<'a>(&'a self, other: &'a Self) -> &'a Self {
        match (&self.0.place, &other.0.place) {
            (Place::Lanes { birth: a, .. }, Place::Lanes { birth: b, .. }) if b < a => other,
            _ => self,
        }
    }
}

impl PartialEq for Axis {
    fn eq(&self, other: &Self) -> bool {
        self.is(other)
            || !(self.is_single() || other.is_single())
                && self.order(other) == Ordering::Equal
                && self.0.size == other.0.size
                && self.0.lanes == other.0.lanes
    }
}

impl fmt::Debug for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name(), self.size())
    }
}

/// The axes that a value varies over, in storage order. Cheap to clone.
#[derive(Clone, Default)]
pub struct AxisSet(Option<Rc<[Axis]>>);

impl PartialEq for AxisSet {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || self.slice() == other.slice()
    }
}

impl FromIterator<Axis> for AxisSet {
    /// The axes must come in storage order, each once.
    fn from_iter<I: IntoIterator<Item = Axis>>(axes: I) -> Self {
        let axes: SmallVec<[Axis; 4]> = axes.into_iter().listed();
        if axes.is_empty() { Self(None) } else { Self(Some(axes.as_slice().into())) }
    }
}

impl AxisSet {
    /// No axis: an invariant value.
    pub fn new() -> Self {
        Self::default()
    }

    fn slice(&self) -> &[Axis] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether both are handles to one set.
    fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Whether there is no axis.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many axes there are.
    pub fn len(&self) -> usize {
        self.slice().len()
    }

    /// The axes, in storage order.
    pub fn iter(&self) -> std::slice::Iter<'_, Axis> {
        self.slice().iter()
    }

    /// The axis of that name.
    pub fn get(&self, name: &str) -> Option<&Axis> {
        self.iter().find(|axis| axis.name() == name)
    }

    /// Where the axis of that name stands among the lane dims.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.iter().position(|axis| axis.name() == name)
    }

    /// Whether an axis of that name is there.
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// This worker's lanes along each axis: the leading dims in storage.
    pub fn lane_dims(&self) -> Dims {
        let mut dims = Dims::new();
        self.iter().for_each(|axis| dims.push(axis.lanes().len()));
        dims
    }

    /// The set with `axis` in it.
    ///
    /// # Errors
    /// The other axis of that name, if it is not the same one.
    pub fn with(&self, axis: &Axis) -> Result<Self, Axis> {
        let mut set: SmallVec<[Axis; 4]> = self.iter().cloned().listed();
        match self.position(axis.name()) {
            Some(i) if set[i] == *axis => set[i] = set[i].elder(axis).clone(),
            Some(i) => return Err(set.swap_remove(i)),
            None => {
                let at = set.partition_point(|a| a.order(axis) == Ordering::Less);
                set.insert(at, axis.clone());
            }
        }
        Ok(set.into_iter().collect())
    }

    /// All axes of either.
    ///
    /// # Errors
    /// Two axes of one name.
    pub fn union(&self, other: &Self) -> Result<Self, (Axis, Axis)> {
        if self.holds(other) {
            return Ok(self.clone());
        }
        if other.holds(self) {
            return Ok(other.clone());
        }
        other.iter().try_fold(self.clone(), |set, axis| set.with(axis).map_err(|old| (old, axis.clone())))
    }

    /// Whether every axis of `other` is here.
    pub fn covers(&self, other: &Self) -> bool {
        self.is(other) || other.iter().all(|b| self.contains(b.name()))
    }

    /// Whether every axis of `other` is here, as the very same description.
    fn holds(&self, other: &Self) -> bool {
        self.is(other) || other.iter().all(|b| self.iter().any(|a| a.is(b)))
    }

    /// The axes for which `keep` holds.
    pub fn filter(&self, keep: impl Fn(&Axis) -> bool) -> Self {
        match self.iter().filter(|axis| keep(axis)).count() {
            0 => Self::new(),
            count if count == self.len() => self.clone(),
            _ => self.iter().filter(|axis| keep(axis)).cloned().collect(),
        }
    }

    /// The axes that are not in `other`.
    pub fn minus(&self, other: &Self) -> Self {
        self.filter(|axis| !other.contains(axis.name()))
    }
}

impl fmt::Display for AxisSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        let names: SmallVec<[&str; 2]> = self.iter().map(Axis::name).collect();
        write!(f, "{{{}}}", names.join(","))
    }
}

impl fmt::Debug for AxisSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `f32[784,10]{batch}`: dtype, positional dims, and the axes that the value varies over.
#[derive(Clone, PartialEq)]
pub struct TensorType {
    /// The type of an element.
    pub dtype: DType,
    /// The positional dims: what a program written for one position sees.
    pub dims: Dims,
    /// The axes it varies over; along all others it is invariant.
    pub axes: AxisSet,
}

impl TensorType {
    /// Elements at one position.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether a position holds no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of positional dims.
    pub fn ndim(&self) -> usize {
        self.dims.len()
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: SmallVec<[String; 6]> = self.dims.iter().map(usize::to_string).collect();
        write!(f, "{}[{}]{}", self.dtype, dims.join(","), self.axes)
    }
}

impl fmt::Debug for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
