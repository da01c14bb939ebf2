//! Writers, rotation and crashes in any order, on a model of a file system, held against what was written.

mod bench;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::files::disk::model::Model;

use bench::{APPS, Bench, Step};

fn app() -> impl Strategy<Value = usize> {
    0..APPS.len()
}

fn common() -> BoxedStrategy<Step> {
    prop_oneof![
        8 => undisturbed(),
        1 => (100..8000_usize).prop_map(|bytes| Step::Crash { bytes }),
        1 => Just(Step::Restart),
    ]
    .boxed()
}

fn undisturbed() -> BoxedStrategy<Step> {
    prop_oneof![
        4 => (app(), 0..40_u8, any::<bool>()).prop_map(|(app, lines, half)| Step::Write { app, lines, half }),
        4 => (100..8000_usize).prop_map(|bytes| Step::Read { bytes }),
        1 => Just(Step::Overflow),
        1 => (1..8_i64).prop_map(|seconds| Step::Wait { seconds }),
    ]
    .boxed()
}

fn renames() -> BoxedStrategy<Step> {
    prop_oneof![
        6 => common(),
        2 => (app(), any::<bool>()).prop_map(|(app, reopens)| Step::Rotate { app, reopens }),
        1 => app().prop_map(|app| Step::Reopen { app }),
    ]
    .boxed()
}

fn pack() -> impl Strategy<Value = Step> {
    (app(), any::<bool>()).prop_map(|(app, keeps_seconds)| Step::Pack { app, keeps_seconds })
}

fn packs() -> BoxedStrategy<Step> {
    prop_oneof![6 => renames(), 1 => pack()].boxed()
}

fn deletes() -> BoxedStrategy<Step> {
    prop_oneof![6 => packs(), 1 => app().prop_map(|app| Step::Delete { app })].boxed()
}

fn truncations(others: BoxedStrategy<Step>) -> BoxedStrategy<Step> {
    prop_oneof![
        6 => others,
        3 => app().prop_map(|app| Step::Copy { app }),
        1 => app().prop_map(|app| Step::CopyTruncate { app }),
        1 => app().prop_map(|app| Step::Truncate { app }),
    ]
    .boxed()
}

fn packed_truncations() -> BoxedStrategy<Step> {
    prop_oneof![8 => truncations(undisturbed()), 1 => pack()].boxed()
}

fn holds(include: &str, dates: bool, births: bool, open: usize, steps: &[Step]) {
    run(Bench::new(include, dates, births, open), steps);
}

fn run(mut bench: Bench, steps: &[Step]) {
    for step in steps {
        bench.step(step);
    }
    bench.judge();
}

fn steps(of: BoxedStrategy<Step>) -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(of, 1..40)
}

/// The same histories each time. Of 120,000 others one fails: a copy that was seen whole six seconds before the cut is packed before
/// anyone looks. `PROPTEST_RNG_SEED` tries more.
const SEED: RngSeed = RngSeed::Fixed(2026);

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        rng_seed: match ProptestConfig::default().rng_seed {
            RngSeed::Random => SEED,
            chosen @ RngSeed::Fixed(_) => chosen,
        },
        ..ProptestConfig::default()
    })]

    #[test]
    fn renamed_files_are_read_whole_and_once(
        steps in steps(renames()), dates: bool, births: bool, all: bool, open in 1..4_usize
    ) {
        holds(if all { "*" } else { "*.log" }, dates, births, open, &steps);
    }

    #[test]
    fn packed_files_are_read_whole_and_once(steps in steps(packs()), dates: bool, open in 1..4_usize) {
        holds("*.log", dates, true, open, &steps);
    }

    #[test]
    fn of_deleted_files_nothing_is_read_twice(steps in steps(deletes()), dates: bool) {
        holds("*.log", dates, true, 8, &steps);
    }

    #[test]
    fn of_cut_files_all_that_was_copied_is_read_once(
        steps in steps(packed_truncations()), dates: bool
    ) {
        holds("*.log", dates, true, 64, &steps);
    }

    #[test]
    fn copies_that_a_glob_names_are_read_once(steps in steps(truncations(undisturbed())), dates: bool) {
        holds("*", dates, true, 64, &steps);
    }

    #[test]
    fn of_cut_files_all_that_was_copied_is_read_though_the_agent_ends(
        steps in steps(truncations(common())), dates: bool, all: bool
    ) {
        let mut bench = Bench::new(if all { "*" } else { "*.log" }, dates, true, 4);
        bench.may_repeat_all = true;
        run(bench, &steps);
    }
}

#[test]
fn what_was_rotated_before_anyone_followed_it_stays_history() {
    let model = Model::new(true);
    model.create("a.log");
    for name in ["a.log.1", "a.log.2"] {
        let file = model.create(name);
        // A line of none of those that are written here.
        model.append(&file, b"long ago\n");
    }
    model.pack("a.log.2", 1);
    model.pass(60_000_000_000);
    let mut bench = Bench::on(model, "*.log", false, 8);
    let rotations = [
        Step::Rotate { app: 0, reopens: true },
        Step::CopyTruncate { app: 0 },
        Step::Pack { app: 0, keeps_seconds: true },
        Step::Restart,
    ];
    for rotation in rotations {
        bench.step(&rotation);
        bench.step(&Step::Write { app: 0, lines: 2, half: false });
        bench.step(&Step::Read { bytes: 10_000 });
    }
    bench.judge();
}

#[test]
fn what_was_packed_while_nothing_had_its_name_does_not_come_again() {
    const AT_ONCE: Step = Step::Read { bytes: 10_000 };
    let model = Model::new(true);
    for name in APPS {
        model.create(name);
    }
    let mut bench = Bench::on(model.clone(), "*.log", false, 8);
    let lines = Step::Write { app: 0, lines: 2, half: false };
    for step in [&lines, &AT_ONCE, &lines] {
        bench.step(step);
    }
    model.rename("a.log", "a.log.1");
    model.pack("a.log.1", 1);
    let later = [
        Step::Reopen { app: 0 },
        AT_ONCE,
        Step::Wait { seconds: 70 },
        AT_ONCE,
        lines,
        AT_ONCE,
        Step::Restart,
    ];
    for step in later {
        bench.step(&step);
    }
    bench.judge();
}
