//! Where in a tree a leaf is.

use std::fmt::{self, Debug, Display, Write};
use std::hash::{Hash, Hasher};

/// Where in a tree a leaf is: `layers[0].bias`, `["key"]`, `.0`.
///
/// A path is a chain of borrowed segments on the stack of the walk: it costs no allocation and becomes text only
/// when somebody prints it.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Root,
    Field(&'static str),
    Key(&'a dyn Debug),
}

impl<'a> Path<'a> {
    /// The tree itself.
    pub const ROOT: Path<'static> = Path { parent: None, segment: Segment::Root };

    /// The field `name` of the structure at this path; the fields of a tuple are named `0`, `1`, ….
    pub const fn field(&'a self, name: &'static str) -> Path<'a> {
        Path { parent: Some(self), segment: Segment::Field(name) }
    }

    /// The entry `key` (an index, or the key of a map) of the collection at this path.
    pub const fn key(&'a self, key: &'a dyn Debug) -> Path<'a> {
        Path { parent: Some(self), segment: Segment::Key(key) }
    }

    fn is_root(&self) -> bool {
        matches!(self.segment, Segment::Root)
    }
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        Display::fmt(parent, f)?;
        match self.segment {
            Segment::Root => Ok(()),
            // `weight` at the root needs no dot; `.0` without one would read as a number.
            Segment::Field(name) if parent.is_root() && !name.starts_with(|c: char| c.is_ascii_digit()) => {
                f.write_str(name)
            }
            Segment::Field(name) => write!(f, ".{name}"),
            Segment::Key(key) => write!(f, "[{key:?}]"),
        }
    }
}

/// Paths with the same text are the same; only keys become text for it.
impl Hash for Path<'_> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Some(parent) = self.parent else { return };
        parent.hash(hasher);
        match self.segment {
            Segment::Root => {}
            Segment::Field(name) => hasher.write(name.as_bytes()),
            Segment::Key(key) => write!(HashText(hasher), "[{key:?}]").expect("hashing cannot fail"),
        }
        hasher.write_u8(b'.');
    }
}

struct HashText<'h, H>(&'h mut H);

impl<H: Hasher> Write for HashText<'_, H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Debug for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({self})")
    }
}
