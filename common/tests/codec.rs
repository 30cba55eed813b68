//! What `common::codec` promises: round trips, one encoding a value, and an answer to bytes that are cut, damaged or
//! noise.

use common::codec::frame::{self, DEFAULT_LIMIT_BYTES, Damage, Decoded, FrameError, Frames, HEADER_BYTES};
use common::codec::varint::{self, VarintError};
use proptest::collection::vec;
use proptest::prelude::*;

fn varint_of(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint::encode(value, &mut out);
    out
}

fn frame_of(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode(payload, DEFAULT_LIMIT_BYTES, &mut out).expect("the payload is under the limit");
    out
}

/// Numbers of every length, which uniform ones are not: nearly all of those have ten bytes.
fn any_magnitude() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0u32..64).prop_map(|(value, shift)| value >> shift)
}

#[test]
fn varints_have_the_bytes_that_the_formats_of_chapter_4_give_them() {
    assert_eq!(varint_of(0), [0x00]);
    assert_eq!(varint_of(127), [0x7f]);
    assert_eq!(varint_of(128), [0x80, 0x01]);
    assert_eq!(varint_of(300), [0xac, 0x02]);
    assert_eq!(varint_of(u64::MAX), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
}

#[test]
fn zigzag_gives_numbers_near_zero_the_small_codes() {
    let codes: Vec<u64> = [0, -1, 1, -2, 2, i64::MAX, i64::MIN].map(varint::zigzag).into();
    assert_eq!(codes, [0, 1, 2, 3, 4, u64::MAX - 1, u64::MAX]);
    // The book's example record has favoriteNumber 1337, which Avro's zigzag writes in two bytes.
    let mut out = Vec::new();
    varint::encode_signed(1337, &mut out);
    assert_eq!(out, [0xf2, 0x14]);
}

#[test]
fn a_varint_of_more_than_64_bits_is_an_overflow() {
    let mut bytes = [0xff; 10];
    bytes[9] = 0x02;
    assert_eq!(varint::decode(&bytes), Err(VarintError::Overflow));
    assert_eq!(varint::decode(&[0xff; 11]), Err(VarintError::Overflow), "an eleventh byte is never waited for");
    assert_eq!(varint::decode(&[0x80; 10]), Err(VarintError::Overflow));
}

#[test]
fn a_padded_varint_is_overlong() {
    assert_eq!(varint::decode(&[0x80, 0x00]), Err(VarintError::Overlong));
    assert_eq!(varint::decode(&[0xff, 0x80, 0x00]), Err(VarintError::Overlong));
    let mut longest = [0x80; 10];
    longest[9] = 0x00;
    assert_eq!(varint::decode(&longest), Err(VarintError::Overlong));
}

#[test]
fn a_frame_has_the_documented_bytes() {
    let crc = crc32fast::hash(b"\x05\x00\x00\x00hello");
    let expected = [&[5, 0, 0, 0][..], &crc.to_le_bytes(), b"hello"].concat();
    assert_eq!(frame_of(b"hello"), expected);
}

#[test]
fn an_empty_payload_is_framed_and_zeros_are_no_empty_frame() {
    let bytes = frame_of(b"");
    assert_eq!(frame::decode(&bytes, 0), Ok(Decoded::Frame { payload: b"", frame_bytes: HEADER_BYTES }));
    let error = frame::decode(&[0; 64], DEFAULT_LIMIT_BYTES);
    assert_eq!(error, Err(FrameError::Corrupt { offset: 0, why: Damage::Zeros }));
}

#[test]
fn a_length_over_the_limit_is_refused_from_the_header_alone() {
    let bytes = frame_of(&[7; 101]);
    let refusal = Err(FrameError::TooLarge { offset: 0, len_bytes: 101, limit_bytes: 100 });
    assert_eq!(frame::decode(&bytes[..HEADER_BYTES], 100), refusal);
    assert!(matches!(frame::decode(&bytes, 101), Ok(Decoded::Frame { .. })), "the limit itself is allowed");
    assert!(matches!(frame::decode(&[0xff; 8], DEFAULT_LIMIT_BYTES), Err(FrameError::TooLarge { .. })));
}

#[test]
fn a_writer_is_held_to_the_limit_and_leaves_the_buffer_as_it_was() {
    let mut out = b"before".to_vec();
    let error = frame::encode(&[1; 9], 8, &mut out).unwrap_err();
    assert_eq!(error, FrameError::TooLarge { offset: 6, len_bytes: 9, limit_bytes: 8 });
    assert_eq!(out, b"before");
}

#[test]
fn an_error_names_the_offset_in_the_file() {
    let mut bytes = [frame_of(b"first"), frame_of(b"second"), frame_of(b"third")].concat();
    let second = frame_of(b"first").len();
    bytes[second + HEADER_BYTES] ^= 1;
    let mut frames = Frames::new(&bytes, 1000, DEFAULT_LIMIT_BYTES);
    assert_eq!(frames.next(), Some(Ok(&b"first"[..])));
    let expected_offset = 1000 + second as u64;
    match frames.next() {
        Some(Err(FrameError::Corrupt { offset, why: Damage::Checksum { .. } })) => assert_eq!(offset, expected_offset),
        other => panic!("the damaged frame was read as {other:?}"),
    }
    assert_eq!(frames.next(), None, "nothing after a damaged frame can be trusted to be one");
    assert_eq!(frames.offset(), expected_offset);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn varints_round_trip(value in any_magnitude(), tail in vec(any::<u8>(), 0..4)) {
        let mut bytes = varint_of(value);
        let len = bytes.len();
        prop_assert_eq!(len, varint::encoded_len(value));
        bytes.extend(tail);
        prop_assert_eq!(varint::decode(&bytes), Ok((value, len)));
    }

    #[test]
    fn signed_varints_round_trip(magnitude in any_magnitude(), negative in any::<bool>()) {
        let value = if negative { !(magnitude as i64) } else { magnitude as i64 };
        let mut bytes = Vec::new();
        varint::encode_signed(value, &mut bytes);
        prop_assert_eq!(varint::decode_signed(&bytes), Ok((value, bytes.len())));
    }

    #[test]
    fn a_varint_cut_at_any_byte_is_incomplete(value in any_magnitude()) {
        let bytes = varint_of(value);
        for cut in 0..bytes.len() {
            prop_assert_eq!(varint::decode(&bytes[..cut]), Err(VarintError::Incomplete));
        }
    }

    #[test]
    fn any_bytes_that_decode_are_the_one_encoding_of_their_value(bytes in vec(any::<u8>(), 0..16)) {
        if let Ok((value, len)) = varint::decode(&bytes) {
            prop_assert_eq!(&bytes[..len], &varint_of(value)[..]);
        }
    }

    #[test]
    fn frames_round_trip(payloads in vec(vec(any::<u8>(), 0..300), 0..8)) {
        let bytes: Vec<u8> = payloads.iter().flat_map(|payload| frame_of(payload)).collect();
        let mut frames = Frames::new(&bytes, 0, DEFAULT_LIMIT_BYTES);
        let read: Result<Vec<&[u8]>, FrameError> = frames.by_ref().collect();
        prop_assert_eq!(read.unwrap(), payloads);
        prop_assert_eq!(frames.offset(), bytes.len() as u64);
    }

    #[test]
    fn a_frame_cut_at_any_byte_is_incomplete_and_says_how_much_is_missing(payload in vec(any::<u8>(), 0..200)) {
        let bytes = frame_of(&payload);
        for cut in 0..bytes.len() {
            let missing = if cut < HEADER_BYTES { HEADER_BYTES - cut } else { bytes.len() - cut };
            prop_assert_eq!(
                frame::decode(&bytes[..cut], DEFAULT_LIMIT_BYTES),
                Ok(Decoded::Incomplete { missing_bytes: missing })
            );
        }
    }

    /// CRC-32 finds every burst of up to 32 bits among bytes that are all there; a length that was damaged into another
    /// one moves the end of the checksummed bytes, and is found but for one in 2^32.
    #[test]
    fn a_flipped_bit_never_passes_for_a_frame(payload in vec(any::<u8>(), 0..200), tail in vec(any::<u8>(), 0..300)) {
        let whole = frame_of(&payload);
        let mut bytes = [&whole[..], &tail].concat();
        for bit in 0..whole.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = frame::decode(&bytes, DEFAULT_LIMIT_BYTES);
            prop_assert!(!matches!(read, Ok(Decoded::Frame { .. })), "bit {} was flipped unseen", bit);
            if bit >= 32 {
                prop_assert!(matches!(read, Err(FrameError::Corrupt { .. })), "bit {} gave {:?}", bit, read);
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn noise_never_panics_and_never_yields_more_than_it_holds(bytes in vec(any::<u8>(), 0..600), limit in 0u32..1000) {
        let _ = varint::decode(&bytes);
        let _ = varint::decode_signed(&bytes);
        let mut frames = Frames::new(&bytes, u64::from(limit), limit);
        let yielded: usize = frames.by_ref().filter_map(Result::ok).map(|payload| payload.len() + HEADER_BYTES).sum();
        prop_assert_eq!(yielded + frames.rest().len(), bytes.len());
    }
}
