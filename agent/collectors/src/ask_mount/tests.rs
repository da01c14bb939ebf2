use std::sync::Condvar;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const SPACE: Space = Space { block_bytes: 4096, blocks: 10, free: 5, available: 4, files: 3, free_files: 2 };

/// File systems that hang until they are let go.
#[derive(Default)]
struct Hanging {
    let_go: Mutex<bool>,
    changed: Condvar,
    asked: AtomicUsize,
}

impl Hanging {
    fn asker(self: &Arc<Self>) -> MountAsker {
        let hanging = self.clone();
        MountAsker::asking(Arc::new(move |path: &Path| {
            hanging.asked.fetch_add(1, Ordering::SeqCst);
            if path.starts_with("/gone") {
                return Err(Errno::NOENT);
            }
            if path.starts_with("/hangs") {
                let held = hanging.let_go.lock().unwrap();
                drop(hanging.changed.wait_while(held, |let_go| !*let_go).unwrap());
            }
            Ok(SPACE)
        }))
    }

    fn let_go(&self) {
        *self.let_go.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn mounts(points: &[(u64, &'static str)], is_remote: bool) -> Vec<Question<'static>> {
    points.iter().map(|(mount, point)| Question { mount: *mount, point, is_remote }).collect()
}

fn ask(asker: &mut MountAsker, questions: &[Question<'_>]) -> Vec<Answer> {
    asker.ask(questions, |point| PathBuf::from(point))
}

#[expect(clippy::disallowed_methods, reason = "the promise is about time")]
fn took(what: impl FnOnce()) -> Duration {
    let before = Instant::now();
    what();
    before.elapsed()
}

/// Ten file systems that hang, before and after two that answer and one that is gone.
fn ten_hang() -> Vec<Question<'static>> {
    let points = ["/hangs/0", "/hangs/1", "/hangs/2", "/hangs/3", "/hangs/4"];
    let first: Vec<_> = (0..).zip(points).collect();
    let last: Vec<_> = (10..).zip(points).collect();
    let mut questions = mounts(&first, true);
    questions.extend(mounts(&[(5, "/answers/far")], true));
    questions.extend(mounts(&[(6, "/answers/near"), (7, "/gone")], false));
    questions.extend(mounts(&last, true));
    questions
}

#[test]
fn ten_that_hang_cost_one_second_once_and_no_answer_but_their_own() {
    let hanging = Arc::new(Hanging::default());
    let mut asker = hanging.asker();
    let questions = ten_hang();
    let expected = [
        vec![Answer::Stuck; 5],
        vec![Answer::Space(SPACE), Answer::Space(SPACE), Answer::Refused(Errno::NOENT)],
        vec![Answer::Stuck; 5],
    ]
    .concat();
    let first = took(|| assert_eq!(ask(&mut asker, &questions), expected));
    assert!(first < 2 * DEADLINE, "{first:?}");
    assert_eq!(hanging.asked(), 13);
    let second = took(|| assert_eq!(ask(&mut asker, &questions), expected));
    assert!(second < DEADLINE / 2, "{second:?}");
    assert_eq!(hanging.asked(), 16, "what hangs is not asked again");
    hanging.let_go();
}

#[test]
fn a_mount_that_is_asked_twice_in_a_round_is_asked_once_and_answered_twice() {
    let hanging = Arc::new(Hanging::default());
    let mut asker = hanging.asker();
    let questions = mounts(&[(1, "/answers"), (1, "/answers"), (2, "/gone"), (1, "/answers")], false);
    let space = Answer::Space(SPACE);
    assert_eq!(ask(&mut asker, &questions), [space, space, Answer::Refused(Errno::NOENT), space]);
    assert_eq!(hanging.asked(), 2);
}

#[test]
fn one_that_answers_at_last_is_asked_again_and_told() {
    let hanging = Arc::new(Hanging::default());
    let mut asker = hanging.asker();
    let questions = mounts(&[(1, "/hangs")], true);
    assert_eq!(ask(&mut asker, &questions), [Answer::Stuck]);
    let anew = mounts(&[(2, "/answers")], true);
    assert_eq!(ask(&mut asker, &anew), [Answer::Space(SPACE)], "another mount in its place");
    hanging.let_go();
    // The thread hands its answer back when it gets to run.
    let answer = (0..1000).find_map(|_| {
        std::thread::yield_now();
        ask(&mut asker, &anew);
        ask(&mut asker, &questions).into_iter().find(|answer| *answer != Answer::Stuck)
    });
    assert_eq!(answer, Some(Answer::Space(SPACE)));
    assert!(asker.out.is_empty());
}

#[test]
fn local_file_systems_are_asked_however_many_remote_ones_hang() {
    let hanging = Arc::new(Hanging::default());
    let mut asker = hanging.asker();
    let far: Vec<_> = (0..40).map(|mount| (mount, "/hangs")).collect();
    let mut questions = mounts(&far, true);
    questions.extend(mounts(&[(100, "/answers")], false));
    for _ in 0..2 {
        let answers = ask(&mut asker, &questions);
        let count = |wanted: Answer| answers.iter().filter(|answer| **answer == wanted).count();
        assert_eq!((count(Answer::Stuck), count(Answer::NotAsked)), (MOST_REMOTE, 40 - MOST_REMOTE));
        assert_eq!(answers.last(), Some(&Answer::Space(SPACE)));
        assert!(lock(&asker.board).threads <= MOST_REMOTE + 1);
    }
    hanging.let_go();
}

#[test]
fn threads_are_bounded_even_when_local_file_systems_hang() {
    let hanging = Arc::new(Hanging::default());
    let mut asker = hanging.asker();
    let near: Vec<_> = (0..60).map(|mount| (mount, "/hangs")).collect();
    for _ in 0..2 {
        let answers = ask(&mut asker, &mounts(&near, false));
        let stuck = answers.iter().filter(|answer| **answer == Answer::Stuck).count();
        assert_eq!((stuck, lock(&asker.board).threads), (MOST_THREADS, MOST_THREADS));
    }
    hanging.let_go();
}

/// A file system whose program never says a word: the kernel's own wait, not ours.
struct Silent {
    directory: tempfile::TempDir,
    program: Option<std::fs::File>,
}

impl Silent {
    /// `None` where this user may not mount.
    fn mount() -> Option<Self> {
        use std::os::fd::AsRawFd as _;
        let directory = tempfile::tempdir().unwrap();
        let program = std::fs::File::options().read(true).write(true).open("/dev/fuse").ok()?;
        let data = format!("fd={},rootmode=40000,user_id=0,group_id=0", program.as_raw_fd());
        let data = std::ffi::CString::new(data).unwrap();
        rustix::mount::mount(
            "silent",
            directory.path(),
            "fuse",
            rustix::mount::MountFlags::empty(),
            data.as_c_str(),
        )
        .ok()?;
        Some(Self { directory, program: Some(program) })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.program = None;
        let _ = rustix::mount::unmount(self.directory.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_fuse_program_that_is_silent_is_told_as_stuck_and_when_it_has_ended_as_broken() {
    let Some(mut silent) = Silent::mount() else {
        eprintln!("skipped: this user may not mount");
        return;
    };
    let here = silent.directory.path().to_str().unwrap().to_owned();
    let questions = [
        Question { mount: 1, point: &here, is_remote: true },
        Question { mount: 2, point: "/", is_remote: false },
    ];
    let mut asker = MountAsker::of_kernel();
    let answers = ask(&mut asker, &questions);
    assert_eq!(answers[0], Answer::Stuck);
    assert!(matches!(answers[1], Answer::Space(_)), "{answers:?}");
    silent.program = None;
    let answer = (0..100_000).find_map(|_| {
        std::thread::yield_now();
        ask(&mut asker, &questions).into_iter().find(|answer| matches!(answer, Answer::Refused(_)))
    });
    assert_eq!(answer, Some(Answer::Refused(Errno::NOTCONN)));
}
