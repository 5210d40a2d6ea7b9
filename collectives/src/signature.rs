//! What a worker says it is calling: compared among all members of a group, in every round.

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::Location;

use smallvec::SmallVec;

use crate::element::{ElementType, Reduction};
use crate::error::{Error, ErrorKind, Result};

/// Sizes of the positional dims of one position.
pub type Dims = SmallVec<[usize; 6]>;

/// Who calls a collective: the name that errors show, the line, and the dims of the operand.
///
/// ```
/// use axisgrad_collectives::signature::Call;
/// let call = Call::here("psum").dims(&[784, 10]);
/// assert_eq!(call.op, "psum");
/// ```
#[derive(Clone, Debug)]
pub struct Call {
    /// The operation as its caller knows it: `psum`.
    pub op: &'static str,
    /// The line to show.
    pub site: &'static Location<'static>,
    /// The operand's dims, where they say more than its length.
    pub dims: Option<Dims>,
    /// A digest of whatever else the caller wants all members to agree on.
    pub also: Option<u64>,
}

impl Call {
    /// A call of `op` from the line that this is written on.
    #[track_caller]
    pub fn here(op: &'static str) -> Self {
        Self::at(op, Location::caller())
    }

    /// A call of `op` from a line that is known already.
    pub fn at(op: &'static str, site: &'static Location<'static>) -> Self {
        Self { op, site, dims: None, also: None }
    }

    /// The same with dims, which must then agree among all members.
    pub fn dims(mut self, dims: &[usize]) -> Self {
        self.dims = Some(dims.into());
        self
    }

    /// The same with whatever else must agree among all members.
    pub fn also(mut self, what: impl Hash) -> Self {
        // Its keys are fixed, so that all ranks, which run one build, come to one digest.
        let mut digest = DefaultHasher::new();
        what.hash(&mut digest);
        self.also = Some(digest.finish());
        self
    }
}

/// A call as the other members see it.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The worker that calls, by global index.
    pub worker: usize,
    /// The operation as its caller knows it: `psum`.
    pub op: Cow<'static, str>,
    /// The collective underneath: `all_reduce`.
    pub collective: Cow<'static, str>,
    /// How elements are combined, where they are.
    pub reduction: Option<Reduction>,
    /// The type of the elements, where there are any.
    pub element: Option<ElementType>,
    /// The operand's dims, where the caller gave them.
    pub dims: Option<Dims>,
    /// The operand's length in elements, where all members must agree on it.
    pub len: Option<u64>,
    /// Leaves of the reduction's tree.
    pub leaves: u64,
    /// Whatever else must agree: a root, counts, a permutation, what the caller adds.
    pub rest: SmallVec<[u64; 4]>,
    /// Source file of the call; for people, not compared.
    pub file: Cow<'static, str>,
    /// Line of the call; for people, not compared.
    pub line: u32,
}

impl Signature {
    /// The signature of `call` by `worker`, with nothing else said yet.
    pub fn new(call: &Call, worker: usize, collective: &'static str) -> Self {
        Self {
            worker,
            op: Cow::Borrowed(call.op),
            collective: Cow::Borrowed(collective),
            reduction: None,
            element: None,
            dims: call.dims.clone(),
            len: None,
            leaves: 0,
            rest: call.also.into_iter().collect(),
            file: Cow::Borrowed(call.site.file()),
            line: call.site.line(),
        }
    }

    /// Bytes of the operand, where its length is known to all.
    pub fn bytes(&self) -> Option<u64> {
        Some(self.len? * self.element?.size() as u64)
    }

    /// Whether two members make the same call.
    pub fn agrees(&self, other: &Self) -> bool {
        self.op == other.op
            && self.collective == other.collective
            && self.reduction == other.reduction
            && self.element == other.element
            && self.dims == other.dims
            && self.len == other.len
            && self.leaves == other.leaves
            && self.rest == other.rest
    }

    /// `10` or `784,10`; `..` for a length that may differ among the members.
    fn shown_dims(&self) -> String {
        match (&self.dims, self.len) {
            (Some(dims), _) => dims.iter().map(usize::to_string).collect::<Vec<_>>().join(","),
            (None, Some(len)) => len.to_string(),
            (None, None) => "..".into(),
        }
    }
}

/// The name of the file without its folders.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// `psum f32[10] (digits.rs:40)`
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.op)?;
        if let Some(element) = self.element {
            write!(f, " {element}[{}]", self.shown_dims())?;
        }
        write!(f, " ({}:{})", file_name(&self.file), self.line)
    }
}

/// The error of every member when two of them make different calls; `None` when all agree.
pub fn disagreement<'a>(group: &str, calls: impl Iterator<Item = &'a Signature> + Clone) -> Option<Error> {
    let first = calls.clone().next()?;
    let other = calls.clone().find(|call| !call.agrees(first))?;
    Some(Error::new(
        ErrorKind::Mismatch,
        format!(
            "collective mismatch in group `{group}`\n   worker {} calls {first}{}; worker {} calls {other}{}\n   \
             every worker of a group must make the same calls in the same order",
            first.worker,
            first.difference(other),
            other.worker,
            other.difference(first),
        ),
    ))
}

impl Signature {
    /// What tells this call from one that looks the same: ` with max`, ` over 3 blocks`, ….
    fn difference(&self, other: &Self) -> String {
        if self.op != other.op || self.element != other.element || self.dims != other.dims {
            return String::new();
        }
        if self.reduction != other.reduction {
            return format!(" with {}", self.reduction.map_or("no reduction", Reduction::name));
        }
        if self.len != other.len {
            return self.len.map_or(String::new(), |len| format!(" of {len} elements"));
        }
        if self.leaves != other.leaves {
            return format!(" over {} blocks", self.leaves);
        }
        if self.rest != other.rest { format!(" with {:?}", self.rest) } else { String::new() }
    }
}

impl Signature {
    /// As bytes, for a message header.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |value: u64| out.extend_from_slice(&value.to_le_bytes());
        put(self.worker as u64);
        put(self.reduction.map_or(0, |r| r as u64 + 1));
        put(self.element.map_or(0, |e| e as u64 + 1));
        put(self.len.map_or(0, |len| len + 1));
        put(self.leaves);
        put(u64::from(self.line));
        put(self.dims.as_ref().map_or(0, |dims| dims.len() as u64 + 1));
        self.dims.iter().flatten().for_each(|dim| put(*dim as u64));
        put(self.rest.len() as u64);
        self.rest.iter().for_each(|value| put(*value));
        for text in [&self.op, &self.collective, &self.file] {
            out.extend_from_slice(&(text.len() as u64).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// Reads what [`encode`](Self::encode) wrote, and leaves what follows it in `bytes`.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let worker = take(bytes)? as usize;
        let reduction =
            take(bytes)?.checked_sub(1).and_then(|code| Reduction::ALL.get(code as usize).copied());
        let element =
            take(bytes)?.checked_sub(1).and_then(|code| ElementType::ALL.get(code as usize).copied());
        let len = take(bytes)?.checked_sub(1);
        let leaves = take(bytes)?;
        let line = take(bytes)? as u32;
        let dims = match take(bytes)?.checked_sub(1) {
            Some(count) => Some((0..count).map(|_| Ok(take(bytes)? as usize)).collect::<Result<Dims>>()?),
            None => None,
        };
        let rest = (0..take(bytes)?).map(|_| take(bytes)).collect::<Result<_>>()?;
        let op = take_text(bytes)?;
        let collective = take_text(bytes)?;
        let file = take_text(bytes)?;
        Ok(Self { worker, op, collective, reduction, element, dims, len, leaves, rest, file, line })
    }
}

/// The next number of a header.
pub(crate) fn take(bytes: &mut &[u8]) -> Result<u64> {
    let (head, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
    *bytes = rest;
    Ok(u64::from_le_bytes(*head))
}

/// The next text of a header.
pub(crate) fn take_text(bytes: &mut &[u8]) -> Result<Cow<'static, str>> {
    let len = take(bytes)? as usize;
    let (head, rest) = bytes.split_at_checked(len).ok_or_else(damaged)?;
    *bytes = rest;
    Ok(Cow::Owned(String::from_utf8_lossy(head).into_owned()))
}

/// The error of bytes that no build of ours has sent.
pub(crate) fn damaged() -> Error {
    Error::new(ErrorKind::Peer, "a message header is damaged: are all ranks running the same build?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn psum() -> Signature {
        let mut signature = Signature::new(&Call::here("psum").dims(&[10]), 3, "all_reduce");
        signature.element = Some(ElementType::F32);
        signature.reduction = Some(Reduction::Sum);
        signature.file = "examples/digits.rs".into();
        signature.line = 40;
        signature
    }

    #[test]
    fn a_signature_survives_the_wire() {
        let mut sent = psum();
        sent.rest = SmallVec::from_slice(&[7, 0]);
        sent.len = Some(0);
        let mut bytes = Vec::new();
        sent.encode(&mut bytes);
        bytes.extend_from_slice(b"tail");
        let mut rest = &bytes[..];
        let got = Signature::decode(&mut rest).unwrap();
        assert!(got.agrees(&sent));
        assert_eq!((got.worker, got.to_string(), rest), (3, sent.to_string(), &b"tail"[..]));
        assert!(Signature::decode(&mut &bytes[..20]).is_err());
    }

    #[test]
    fn a_mismatch_names_both_calls() {
        let gather = Signature { worker: 5, op: "all_gather".into(), line: 44, ..psum() };
        let error = disagreement("batch", [psum(), psum(), gather].iter()).unwrap();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        assert_eq!(
            error.to_string(),
            "collective mismatch in group `batch`\n   worker 3 calls psum f32[10] (digits.rs:40); \
             worker 5 calls all_gather f32[10] (digits.rs:44)\n   \
             every worker of a group must make the same calls in the same order"
        );
        assert!(disagreement("batch", [psum(), psum()].iter()).is_none());
    }

    #[test]
    fn calls_that_look_alike_are_told_apart() {
        let max = Signature { worker: 5, reduction: Some(Reduction::Max), ..psum() };
        let error = disagreement("batch", [psum(), max].iter()).unwrap().to_string();
        assert!(
            error.contains("(digits.rs:40) with sum; worker 5 calls psum f32[10] (digits.rs:40) with max")
        );
    }
}
