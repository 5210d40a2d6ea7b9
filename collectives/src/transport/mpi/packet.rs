//! What a packet looks like on the wire: a fixed start, one length for each part, the header, small parts.

use crate::buffer::{Buffer, Pool};
use crate::transport::Part;

/// Room for small parts. With the rest of the packet it stays under 4 KiB, which the MPI libraries send at
/// once, without waiting for the receiver.
const ROOM: usize = 3 << 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A message of the layer above.
    Data,
    /// The last packet of a rank; the tag says how many it has sent, this one included.
    Goodbye,
    /// The sender ends the run; the header is the cause.
    Failure,
}

#[derive(Debug)]
pub struct Packet {
    pub kind: Kind,
    pub tag: u64,
    /// The MPI tag of the parts that follow.
    pub parts_tag: i32,
    pub header: Vec<u8>,
    pub payloads: Vec<Payload>,
}

#[derive(Debug)]
pub enum Payload {
    Here(Buffer),
    /// So many bytes follow in a message of their own.
    Follows(usize),
}

/// The packet, and the parts that are too large for it.
pub fn encode(
    pool: &Pool,
    kind: Kind,
    tag: u64,
    parts_tag: i32,
    header: &[u8],
    parts: &[Part],
) -> (Part, Vec<Part>) {
    let (mut lengths, mut small, mut large) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        let follows = small.len() + part.range.len() > ROOM;
        lengths.push((part.range.len() as u64) << 1 | u64::from(follows));
        if follows {
            large.push(part.clone());
        } else {
            small.extend_from_slice(&part.buffer.bytes()[part.range.clone()]);
        }
    }
    let start = [kind as u64, tag, parts_tag as u64, header.len() as u64, lengths.len() as u64];
    let mut bytes = Vec::with_capacity(8 * (start.len() + lengths.len()) + header.len() + small.len());
    bytes.extend(start.iter().chain(&lengths).flat_map(|word| word.to_le_bytes()));
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(&small);
    let buffer = pool.copy_of(&bytes);
    (Part { range: 0..bytes.len(), buffer }, large)
}

/// Reads what [`encode`] wrote; `None` if the bytes are not a packet.
pub fn decode(pool: &Pool, bytes: &[u8]) -> Option<Packet> {
    let mut rest = bytes;
    let kind = *[Kind::Data, Kind::Goodbye, Kind::Failure].get(word(&mut rest)? as usize)?;
    let (tag, parts_tag) = (word(&mut rest)?, word(&mut rest)? as i32);
    let (header, parts) = (word(&mut rest)?, word(&mut rest)?);
    let lengths = (0..parts).map(|_| word(&mut rest)).collect::<Option<Vec<u64>>>()?;
    let header = take(&mut rest, header as usize)?.to_vec();
    let payload = |length: u64| match length & 1 {
        0 => Some(Payload::Here(pool.copy_of(take(&mut rest, (length >> 1) as usize)?))),
        _ => Some(Payload::Follows((length >> 1) as usize)),
    };
    let payloads = lengths.into_iter().map(payload).collect::<Option<_>>()?;
    Some(Packet { kind, tag, parts_tag, header, payloads })
}

fn word(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?))
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_packet_of_any_bytes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), words in prop::collection::vec(0u64..9, 0..12)) {
            // Small numbers get further than random bytes do.
            let small: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
            let _ = decode(&Pool::new(), &[&small[..], &bytes].concat());
        }

        #[test]
        fn a_packet_that_is_cut_short_is_refused(at in any::<prop::sample::Index>()) {
            let pool = Pool::new();
            let part = Part::whole(pool.copy_of(&[7u8; 40]));
            let (packet, _) = encode(&pool, Kind::Data, 3, 1, b"header", &[part]);
            let bytes = packet.buffer.bytes();
            prop_assert!(decode(&pool, &bytes[..at.index(bytes.len())]).is_none());
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let pool = Pool::new();
        let part = |len: usize, byte: u8| {
            let buffer = pool.copy_of(&vec![byte; len + 2]);
            Part { buffer, range: 1..len + 1 }
        };
        let parts = [part(5, 1), part(ROOM, 2), part(0, 3), part(ROOM - 5, 4), part(1, 5)];
        let (packet, large) = encode(&pool, Kind::Data, u64::MAX - 3, 32_767, b"header", &parts);
        let read = decode(&pool, packet.buffer.bytes()).expect("a packet");

        assert_eq!((read.kind, read.tag, read.parts_tag), (Kind::Data, u64::MAX - 3, 32_767));
        assert_eq!(read.header, b"header");
        let sizes: Vec<_> = large.iter().map(|part| part.range.len()).collect();
        assert_eq!(sizes, [ROOM, 1]);
        let seen: Vec<_> = read
            .payloads
            .iter()
            .map(|payload| match payload {
                Payload::Here(buffer) => (true, buffer.bytes().len(), buffer.bytes().first().copied()),
                Payload::Follows(len) => (false, *len, None),
            })
            .collect();
        let here = |len, byte| (true, len, byte);
        assert_eq!(
            seen,
            [here(5, Some(1)), (false, ROOM, None), here(0, None), here(ROOM - 5, Some(4)), (false, 1, None)]
        );
    }
}
