use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::DESCRIPTORS;

use super::*;
use crate::wire::{Field, Fields};

/// A field as its `FieldDescriptorProto` tells: type, label, name of the message type, whether it is in a `oneof`,
/// whether it is `optional`, JSON name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Published {
    kind: u64,
    is_repeated: bool,
    message: String,
    is_one_of: bool,
    is_optional: bool,
    json_name: String,
}

type Fully = BTreeMap<String, BTreeMap<u32, Published>>;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The last part of `.opentelemetry.proto.trace.v1.Span.Event`.
fn short(name: &str) -> String {
    name.rsplit('.').next().unwrap().to_owned()
}

// descriptor.proto: FileDescriptorSet.file = 1; FileDescriptorProto.package = 2, .message_type = 4;
// DescriptorProto.name = 1, .field = 2, .nested_type = 3; FieldDescriptorProto.name = 1, .number = 3, .label = 4,
// .type = 5, .type_name = 6, .oneof_index = 9, .json_name = 10, .proto3_optional = 17.
fn published() -> Fully {
    let mut messages = Fully::new();
    for file in Fields::of(DESCRIPTORS) {
        let (1, Field::Bytes(file)) = file.unwrap() else { continue };
        let package = Fields::of(file)
            .find_map(|field| match field.unwrap() {
                (2, Field::Bytes(package)) => Some(text(package)),
                _ => None,
            })
            .unwrap();
        if !package.starts_with("opentelemetry.")
            || package.contains("profiles")
            || package.contains("tracez")
        {
            continue;
        }
        for field in Fields::of(file) {
            if let (4, Field::Bytes(message)) = field.unwrap() {
                read_message(message, &mut messages);
            }
        }
    }
    messages
}

fn read_message(message: &[u8], messages: &mut Fully) {
    let mut name = String::new();
    let mut fields = BTreeMap::new();
    for field in Fields::of(message) {
        match field.unwrap() {
            (1, Field::Bytes(bytes)) => name = text(bytes),
            (2, Field::Bytes(field)) => {
                let (number, field) = read_field(field);
                fields.insert(number, field);
            }
            (3, Field::Bytes(nested)) => read_message(nested, messages),
            _ => {}
        }
    }
    messages.insert(name, fields);
}

fn read_field(field: &[u8]) -> (u32, Published) {
    let mut number = 0;
    let mut published = Published::default();
    let mut name = String::new();
    for field in Fields::of(field) {
        match field.unwrap() {
            (1, Field::Bytes(bytes)) => name = text(bytes),
            (3, Field::Varint(value)) => number = value as u32,
            (4, Field::Varint(label)) => published.is_repeated = label == 3,
            (5, Field::Varint(kind)) => published.kind = kind,
            (6, Field::Bytes(bytes)) => published.message = short(&text(bytes)),
            (9, Field::Varint(_)) => published.is_one_of = true,
            (10, Field::Bytes(bytes)) => published.json_name = text(bytes),
            (17, Field::Varint(optional)) => published.is_optional = optional != 0,
            _ => {}
        }
    }
    if published.json_name.is_empty() {
        published.json_name = lower_camel(&name);
    }
    (number, published)
}

fn lower_camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |name, part| {
        let (initial, rest) = part.split_at(1);
        name + &initial.to_uppercase() + rest
    })
}

/// The numbers of `FieldDescriptorProto.Type`.
fn kind_number(kind: Kind) -> u64 {
    match kind {
        Double => 1,
        Int64 => 3,
        Uint64 => 4,
        TableIndex => 5,
        Fixed64 => 6,
        Fixed32 => 7,
        Bool => 8,
        Text => 9,
        M(_) => 11,
        Bytes | Id => 12,
        Uint32 => 13,
        Enum => 14,
        Sfixed64 => 16,
        Sint32 => 17,
    }
}

#[test]
fn every_row_says_what_the_published_descriptors_say() {
    let published = published();
    assert!(published.len() > 30, "{}", published.len());
    for message in ALL {
        let rows: BTreeMap<u32, Published> = message
            .fields
            .iter()
            .map(|row| {
                let published = Published {
                    kind: kind_number(row.kind),
                    is_repeated: row.label == Repeated,
                    message: if let M(inner) = row.kind { inner.name.to_owned() } else { String::new() },
                    // An `optional` field is a `oneof` of its own.
                    is_one_of: matches!(row.label, OneOf | Optional),
                    is_optional: row.label == Optional,
                    json_name: row.name.to_owned(),
                };
                (row.number, published)
            })
            .collect();
        let mut expected = published.get(message.name).unwrap_or_else(|| panic!("{}", message.name));
        let mut without_types = BTreeMap::new();
        if message.fields.iter().any(|row| matches!(row.kind, Enum)) {
            // Enums have a type name, too; only their numbers matter here.
            for (number, field) in expected {
                let message = if field.kind == 14 { String::new() } else { field.message.clone() };
                without_types
                    .insert(*number, Published { message, json_name: field.json_name.clone(), ..*field });
            }
            expected = &without_types;
        }
        assert_eq!(&rows, expected, "{}", message.name);
    }
}

#[test]
fn no_message_of_the_three_signals_is_missing() {
    let known: BTreeSet<&str> = ALL.iter().map(|message| message.name).collect();
    let left_out: Vec<String> =
        published().into_keys().filter(|name| !known.contains(name.as_str())).collect();
    // Answers, and the same as the requests for files.
    assert!(left_out.iter().all(|name| name.ends_with("Data") || name.starts_with("Export")), "{left_out:?}");
}

#[test]
fn a_row_is_found_by_its_number() {
    for message in ALL {
        for row in message.fields {
            assert_eq!(message.field(row.number).map(|found| found.name), Some(row.name), "{}", message.name);
        }
        for unknown in [0, 17, 1000, u32::MAX] {
            assert!(message.field(unknown).is_none(), "{}", message.name);
        }
    }
}
