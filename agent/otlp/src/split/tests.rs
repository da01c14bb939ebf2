use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::generated::{Manner, any_request, damaged, decoded};
use crate::wire::bytes_field;

/// Every record with the envelopes that lie around it, in order. The first of a `Level`'s parts are its records.
fn records(body: &[u8], path: &[&[u32]], around: &[u8], found: &mut Vec<Vec<u8>>) {
    let [parts, inner @ ..] = path else {
        found.push([around, b"|", body].concat());
        return;
    };
    let level = Level::of(0, body, parts).unwrap();
    for field in Fields::of(body) {
        let (number, value) = field.unwrap();
        if parts.contains(&number) {
            let around = [around, b"|", &level.envelope, &[number as u8]].concat();
            records(value.bytes().unwrap(), inner, &around, found);
        }
    }
}

fn all_records(signal: Signal, payload: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let path = if signal == Signal::Metrics { TO_POINTS } else { TO_ITEMS };
    records(payload, path, b"", &mut found);
    found
}

/// What is not divided further: half of the limit belongs to what is repeated.
fn is_indivisible(signal: Signal, piece: &[u8], limit: usize) -> bool {
    let path = if signal == Signal::Metrics { TO_POINTS } else { TO_ITEMS };
    let mut body = piece;
    let mut envelopes = Vec::new();
    for parts in path {
        let level = Level::of(0, body, parts).unwrap();
        envelopes.push(level.envelope.len());
        if nested(0, envelopes.iter().copied()) > limit / 2 {
            return true;
        }
        let inner: Vec<&[u8]> = Fields::of(body)
            .filter_map(|field| match field.unwrap() {
                (number, value) if parts.contains(&number) => Some(value.bytes().unwrap()),
                _ => None,
            })
            .collect();
        let [one] = inner.as_slice() else { return false };
        body = one;
    }
    true
}

proptest! {
    #[test]
    fn the_pieces_hold_every_record_once_with_what_stood_around_it(
        (signal, payload) in any_request(Manner::Wild),
        limit in 0..2000_usize,
    ) {
        let payload = Bytes::from(payload);
        let pieces = split(signal, &payload, limit).unwrap();
        let mut joined = Vec::new();
        for (piece, items) in &pieces {
            prop_assert_eq!(count_items(signal, piece), Ok(*items));
            let is_allowed = piece.len() <= limit || *items == 0 || is_indivisible(signal, piece, limit);
            prop_assert!(is_allowed, "{} bytes", piece.len());
            prop_assert!(decoded(signal, piece).is_ok());
            joined.extend(all_records(signal, piece));
        }
        prop_assert_eq!(joined, all_records(signal, &payload));
        let bytes: usize = pieces.iter().map(|(piece, _)| piece.len()).sum();
        prop_assert!(bytes <= 4 * payload.len(), "{} bytes of {}", bytes, payload.len());
    }

    #[test]
    fn several_requests_become_one_that_decodes_to_the_same(
        signal in crate::generated::signals(),
        drives in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        pool in proptest::collection::vec(any_request(Manner::Wild), 4),
    ) {
        let parts: Vec<Bytes> = drives
            .iter()
            .map(|drive| drive.get(&pool))
            .filter(|(of, _)| *of == signal)
            .map(|(_, payload)| payload.clone().into())
            .collect();
        let whole = concatenate(&parts);
        let each: Vec<u8> = parts.iter().flat_map(|part| decoded(signal, part).unwrap()).collect();
        prop_assert_eq!(decoded(signal, &whole).unwrap(), each);
        let items: u64 = parts.iter().map(|part| count_items(signal, part).unwrap()).sum();
        prop_assert_eq!(count_items(signal, &whole), Ok(items));
    }

    #[test]
    fn no_damage_makes_the_split_panic(
        (signal, payload) in damaged(any_request(Manner::Wild)),
        limit in 0..2000_usize,
    ) {
        let _ = split(signal, &payload.into(), limit);
    }
}

/// A request with one envelope of `envelope` bytes around `records` records of `record` bytes.
fn request(envelope: usize, records: usize, record: usize) -> Bytes {
    let mut scope = Vec::new();
    (0..records).for_each(|_| bytes_field(&mut scope, 2, &vec![0xa2; record]));
    let mut resource = Vec::new();
    bytes_field(&mut resource, 3, &vec![b'u'; envelope]);
    bytes_field(&mut resource, 2, &scope);
    let mut request = Vec::new();
    bytes_field(&mut request, 1, &resource);
    request.into()
}

#[test]
fn a_request_that_fits_is_handed_on_as_it_is() {
    let payload = request(10, 3, 100);
    let pieces = split(Signal::Logs, &payload, payload.len()).unwrap();
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].0.as_ptr(), payload.as_ptr());
}

#[test]
fn records_are_spread_over_as_few_pieces_as_the_limit_allows() {
    let table: BTreeMap<usize, &[u64]> =
        BTreeMap::from([(400, &[3_u64, 3, 3, 1][..]), (1000, &[9, 1]), (150, &[1; 10]), (110, &[1; 10])]);
    for (limit, expected) in table {
        let pieces = split(Signal::Logs, &request(10, 10, 100), limit).unwrap();
        let items: Vec<u64> = pieces.iter().map(|(_, items)| *items).collect();
        assert_eq!(items, expected, "at most {limit} bytes");
    }
}

#[test]
fn a_large_envelope_is_not_repeated_for_each_record() {
    for (signal, envelope, limit) in [(Signal::Logs, 100_000, 100_100), (Signal::Traces, 60_000, 100_000)] {
        let payload = request(envelope, 10_000, 10);
        let pieces = split(signal, &payload, limit).unwrap();
        let bytes: usize = pieces.iter().map(|(piece, _)| piece.len()).sum();
        assert!(bytes <= 2 * payload.len(), "{bytes}");
        assert_eq!(pieces.iter().map(|(_, items)| items).sum::<u64>(), 10_000);
    }
}
