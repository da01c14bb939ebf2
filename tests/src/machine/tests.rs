use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

use super::sink::Received;
use super::*;

fn gone(traces: &[PathBuf]) -> bool {
    traces.iter().all(|path| !path.exists())
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_machine_runs_commands_and_leaves_nothing_behind() {
    let mut traces = Vec::new();
    for release in Release::ALL {
        if let Some(why) = missing(namespaces::NEEDS) {
            return skip("machines", &why);
        }
        let machine = Machine::boot(release).unwrap();
        let Inside::Namespaces(inside) = &machine.inside else { panic!("{release:?} is not in namespaces") };
        traces.extend(inside.traces());
        assert!(!gone(&traces));
        machine.write("/root/note", "kept").unwrap();
        assert_eq!(machine.does(&["cat", "/root/note"]).unwrap(), "kept");
        assert_eq!(machine.read("/root/note").unwrap(), "kept");
        assert_eq!(machine.run(&["sh", "-c", "echo out; echo err >&2; exit 7"]).unwrap().status, 7);
        assert_eq!(inside.run(&["sleep", "60"], 1.s()).unwrap().status, 128 + 9);
        assert!(machine.does(&["systemctl", "--failed", "--quiet"]).unwrap().is_empty());
        assert!(!machine.answers(80).unwrap());
        machine.start("nginx").unwrap();
        assert!(machine.answers(80).unwrap());
    }
    assert!(gone(&traces), "{traces:?}");
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_machine_ends_with_whoever_holds_it_and_with_its_supervisor() {
    if let Some(why) = missing(namespaces::NEEDS) {
        return skip("machines", &why);
    }
    let root = Release::Debian12.root().unwrap();
    let mut held = Namespaces::boot(&root).unwrap();
    let traces = held.traces();
    drop(held.supervisor().stdin.take());
    held.supervisor().wait().unwrap();
    assert!(gone(&traces), "{traces:?}");

    let mut killed = Namespaces::boot(&root).unwrap();
    let [init, group] = killed.traces();
    kill_process(Pid::from_child(killed.supervisor()), Signal::KILL).unwrap();
    killed.supervisor().wait().unwrap();
    let begun = Instant::now();
    while init.exists() {
        assert!(begun.elapsed() < 5.s(), "the machine outlived its supervisor");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    // Nobody was left to remove its control group; the next machine does.
    drop(Namespaces::boot(&root).unwrap());
    assert!(!group.exists());
    std::mem::forget(killed);
}

#[test]
fn the_sink_finds_the_numbers_that_are_missing_in_each_life() {
    let mut received = Received::default();
    for (begun, number) in [(7, 1), (7, 2), (7, 2), (7, 4), (9, 2), (9, 3)] {
        received.collection(begun, number, 100);
    }
    assert_eq!((received.lasts(), received.collections), (vec![4, 3], 6));
    assert_eq!(received.holes(), [3, 1]);
}
