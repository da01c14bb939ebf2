//! Who gets what by itself, and who only in place of another.

use std::collections::BTreeSet;

use telemetry::Signal;

use crate::sender::destination::Destination;

/// For each destination whether it gets each signal by itself, in the order of [`Signal::ALL`]: what it takes, but for
/// what it gets while another one fails, for else it would get that twice. Where two stand in for each other, the first
/// gets it by itself.
pub(super) fn owners(destinations: &[Destination]) -> Vec<[bool; Signal::ALL.len()]> {
    let stand_ins = Signal::ALL.map(|signal| stand_ins(destinations, signal));
    let owned = |destination: &Destination| {
        let mut owned = [false; Signal::ALL.len()];
        for ((signal, stand_ins), owned) in Signal::ALL.into_iter().zip(&stand_ins).zip(&mut owned) {
            *owned = destination.takes(signal) && !stand_ins.contains(destination.name());
        }
        owned
    };
    destinations.iter().map(owned).collect()
}

fn stand_ins(destinations: &[Destination], signal: Signal) -> BTreeSet<&str> {
    let taking: Vec<&Destination> =
        destinations.iter().filter(|destination| destination.takes(signal)).collect();
    let named: BTreeSet<&str> = taking.iter().flat_map(|destination| failover(destination)).collect();
    let mut stand_ins = BTreeSet::new();
    for is_named in [false, true] {
        for destination in taking.iter().filter(|destination| named.contains(destination.name()) == is_named)
        {
            if !stand_ins.contains(destination.name()) {
                stand_ins.extend(failover(destination));
            }
        }
    }
    stand_ins
}

fn failover(destination: &Destination) -> impl Iterator<Item = &str> {
    destination.options().failover.iter().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::destination::DestinationOptions;
    use crate::sender::destination::Protocol;
    use crate::sender::destination::tests::options;

    fn destination(name: &str, signals: &[Signal], failover: &[&str]) -> Destination {
        let options = options("http://127.0.0.1:1", Protocol::Grpc);
        Destination::new(DestinationOptions {
            name: name.to_owned(),
            signals: signals.iter().copied().collect(),
            failover: failover.iter().map(|name| (*name).to_owned()).collect(),
            ..options
        })
        .unwrap()
    }

    #[test]
    fn a_destination_gets_what_it_takes_unless_it_stands_in_for_it() {
        let all = Signal::ALL.as_slice();
        let yes = [true; 3];
        let no = [false; 3];
        for (destinations, expected) in [
            (vec![("a", all, vec![]), ("b", all, vec![])], vec![yes, yes]),
            (vec![("a", all, vec!["b"]), ("b", all, vec![])], vec![yes, no]),
            (vec![("b", all, vec![]), ("a", all, vec!["b"])], vec![no, yes]),
            // In place of a it gets traces only; its records are its own.
            (
                vec![("a", &all[1..2], vec!["b"]), ("b", &all[1..], vec![])],
                vec![[false, true, false], [false, false, true]],
            ),
            (vec![("a", all, vec!["b"]), ("b", all, vec!["a"])], vec![yes, no]),
            (vec![("b", all, vec!["c"]), ("a", all, vec!["b"]), ("c", all, vec![])], vec![no, yes, yes]),
        ] {
            let destinations: Vec<_> = destinations
                .iter()
                .map(|(name, signals, failover)| destination(name, signals, failover))
                .collect();
            assert_eq!(owners(&destinations), expected, "{destinations:?}");
        }
    }
}
