use proptest::prelude::*;

use super::*;

/// As `busctl --user capture` shows the bytes of an answer to `Hello`.
#[test]
fn an_answer_of_a_bus_is_taken_apart() {
    let mut message = Body(vec![ORDER, RETURN, 1, PROTOCOL]);
    message.number(10);
    message.number(1);
    message.list(8, |fields| {
        fields.0.push(REPLY_SERIAL);
        fields.signature("u");
        fields.number(7);
        fields.align(8);
        fields.0.push(DESTINATION);
        fields.signature("s");
        fields.text(":1.2");
        fields.align(8);
        fields.0.push(SIGNATURE);
        fields.signature("g");
        fields.signature("s");
    });
    message.align(8);
    let head: [u8; HEAD_BYTES] = message.0[..HEAD_BYTES].try_into().unwrap();
    let begun = message.0.len();
    let mut body = Body::default();
    body.text(":1.42");
    message.0.extend_from_slice(&body.0);
    assert_eq!(rest_length(&head), Some(begun - HEAD_BYTES + 10));
    let Some(Incoming::Answer { to: 7, signature: "s", body }) = parse(&message.0) else {
        panic!("{:?}", parse(&message.0))
    };
    assert_eq!(Reader::new(body).text(), Some(":1.42"));
}

#[test]
fn a_question_is_as_the_specification_lays_it_out() {
    let call = Call { destination: "d", path: "/", interface: "i", member: "M", signature: "as" };
    let mut body = Body::default();
    body.texts(&["*"]);
    let message = call.message(5, &body);
    let native = |number: u32| number.to_ne_bytes();
    let expected = [
        &[ORDER, 1, 2, 1][..],
        &native(10),
        &native(5),
        &native(79),
        &[1, 1, b'o', 0],
        &native(1),
        b"/\0\0\0\0\0\0\0",
        &[2, 1, b's', 0],
        &native(1),
        b"i\0\0\0\0\0\0\0",
        &[3, 1, b's', 0],
        &native(1),
        b"M\0\0\0\0\0\0\0",
        &[6, 1, b's', 0],
        &native(1),
        b"d\0\0\0\0\0\0\0",
        &[8, 1, b'g', 0, 2, b'a', b's', 0],
        &native(6),
        &native(1),
        b"*\0",
    ]
    .concat();
    assert_eq!(message.len(), expected.len());
    assert_eq!(message[HEAD_BYTES..], expected[HEAD_BYTES..]);
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0..5_u8,
        length in 0..100_u32,
        signature in "[ybnqiuxtdsoghva(){}]{0,40}|\\PC{0,5}",
    ) {
        if let Some(place) = bytes.get_mut(..16) {
            place[..4].copy_from_slice(&[ORDER, kind, 0, PROTOCOL]);
            place[4..8].copy_from_slice(&(length / 2).to_ne_bytes());
            place[12..16].copy_from_slice(&length.to_ne_bytes());
            let _ = rest_length((&*place).try_into().unwrap());
        }
        let _ = parse(&bytes);
        let _ = Reader::new(&bytes).structures(|read| Some((read.text()?, read.number()?, read.signature()?)));
        let _ = Reader::new(&bytes).entries(|read, _, signature| read.skip(signature, DEEPEST).map(drop));
        let _ = Reader::new(&bytes).skip(&signature, DEEPEST);
    }
}

#[test]
fn values_of_any_type_are_passed_over() {
    let mut body = Body::default();
    body.0.push(7);
    body.texts(&["a", "b"]);
    body.list(8, |list| {
        list.align(8);
        list.text("key");
        list.signature("u");
        list.number(1);
    });
    body.align(8);
    body.text("in a structure");
    body.number(5);
    body.text("behind");
    let mut read = Reader::new(&body.0);
    let mut rest = "yasa{sv}(su)s";
    while rest != "s" {
        rest = read.skip(rest, DEEPEST).unwrap();
    }
    assert_eq!(read.text(), Some("behind"));
    let deep = "(".repeat(DEEPEST + 1);
    assert_eq!(Reader::new(&[0; 999]).skip(&deep, DEEPEST), None);
}
