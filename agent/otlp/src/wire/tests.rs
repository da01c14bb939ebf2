use super::*;
use proptest::prelude::*;

fn fields(message: &[u8]) -> Result<Vec<(u32, Field<'_>)>, Malformed> {
    Fields::of(message).collect()
}

#[test]
fn a_written_message_reads_back_whatever_its_length_was_guessed_to_take() {
    for length in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
        for guess in 1..=4 {
            let mut out = b"before".to_vec();
            message_field(&mut out, 3, guess, |out| out.extend(std::iter::repeat_n(7, length)));
            varint_field(&mut out, 4, 300);
            let body = vec![7; length];
            assert_eq!(
                fields(out.strip_prefix(b"before").unwrap()),
                Ok(vec![(3, Field::Bytes(&body)), (4, Field::Varint(300))]),
                "{length} bytes, {guess} guessed"
            );
        }
    }
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let endless = [0xff; 11];
    for (bytes, reason) in [
        (&[0x0a_u8, 5, 1][..], "longer than its message"),
        (&[0x08], "does not end"),
        (&endless, "does not end"),
        (&[0x00, 1], "out of range"),
        (&[0x0b], "wire type"),
        (&[0x09, 1, 2], "longer than its message"),
    ] {
        let error = fields(bytes).unwrap_err().to_string();
        assert!(error.contains(reason), "{bytes:?}: {error}");
    }
}

proptest! {
    #[test]
    fn a_number_reads_back_and_takes_the_length_foretold(value: u64) {
        let mut out = Vec::new();
        varint_field(&mut out, 1, value);
        prop_assert_eq!(out.len(), 1 + varint_length(value));
        prop_assert_eq!(fields(&out), Ok(vec![(1, Field::Varint(value))]));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = fields(&bytes);
    }
}
