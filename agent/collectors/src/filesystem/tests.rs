use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use rustix::io::Errno;

use super::*;
use crate::ask_mount::MountAsker;

const MOUNTS: &str = "27 1 254:0 / / rw - ext4 /dev/vda1 rw\n\
    28 27 254:0 /x /bound rw - ext4 /dev/vda1 rw\n\
    29 27 0:40 / /home rw - nfs4 filer:/home rw\n\
    30 29 8:1 / /home/disk ro - xfs /dev/sda1 rw\n\
    31 27 0:41 / /dead rw - fuse.sshfs me@far:/ rw\n";

struct Machine {
    directory: tempfile::TempDir,
    host: HostRoot,
}

impl Machine {
    fn new(ask: impl Fn(&str) -> Result<Space, Errno> + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host = HostRoot::at(directory.path());
        let root = directory.path().to_owned();
        let ask = move |path: &Path| ask(path.strip_prefix(&root).unwrap().to_str().unwrap());
        *host.mounts() = MountAsker::asking(Arc::new(ask));
        let machine = Self { directory, host };
        machine.write("proc/1/mountinfo", MOUNTS);
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The points whose line contains `what`.
    fn told(&self, what: &str) -> (Vec<String>, Result<(), CollectError>) {
        let mut out = SampleBuffer::default();
        let result = Filesystem.collect(&self.host, &mut out);
        (out.to_text().lines().filter(|line| line.contains(what)).map(str::to_owned).collect(), result)
    }
}

const SPACE: Space = Space { block_bytes: 1, blocks: 10, free: 5, available: 4, files: 0, free_files: 0 };

#[test]
fn a_file_system_that_hangs_is_told_as_stuck_and_the_others_as_ever() {
    let let_go = Arc::new((Mutex::new(false), Condvar::new()));
    let held = let_go.clone();
    let machine = Machine::new(move |point| {
        if point.starts_with("home") {
            drop(held.1.wait_while(held.0.lock().unwrap(), |let_go| !*let_go).unwrap());
        }
        Ok(SPACE)
    });
    let stuck = |point: &str, value: i64| {
        format!("hostmend.filesystem.stuck{{system.filesystem.mountpoint=\"{point}\"}} {value}")
    };
    let expected =
        [("/", 0), ("/bound", 0), ("/dead", 0), ("/home", 1), ("/home/disk", 1)].map(|(p, v)| stuck(p, v));
    for _ in 0..2 {
        assert_eq!(machine.told("stuck"), (expected.to_vec(), Ok(())));
        assert_eq!(machine.told("filesystem.limit").0.len(), 3);
    }
    *let_go.0.lock().unwrap() = true;
    let_go.1.notify_all();
}

#[test]
fn a_file_system_that_is_broken_is_named_and_one_that_is_gone_or_hidden_is_left_out() {
    let machine = Machine::new(|point| match point {
        "dead" => Err(Errno::NOTCONN),
        "home" => Err(Errno::ACCESS),
        "home/disk" => Err(Errno::NOENT),
        _ => Ok(SPACE),
    });
    let (told, result) = machine.told("filesystem.limit");
    assert_eq!(told.len(), 2);
    let error = result.unwrap_err();
    assert!(error.to_string().ends_with("/dead"), "{error}");
}

#[test]
fn the_mode_is_that_of_the_mount_so_one_that_turns_read_only_is_another_series() {
    let machine = Machine::new(|_| Ok(SPACE));
    let modes = || {
        let (told, _) = machine.told("filesystem.limit{system.device=\"/dev/vda1\"");
        told.iter().map(|line| line.contains("mode=\"ro\"")).collect::<Vec<_>>()
    };
    assert_eq!(modes(), [false, false]);
    // As errors=remount-ro leaves it: the file system itself is read-only.
    machine.write("proc/1/mountinfo", &MOUNTS.replace("/dev/vda1 rw", "/dev/vda1 ro"));
    assert_eq!(modes(), [true, true]);
}

#[test]
fn errors_of_ext4_are_told_once_for_each_device() {
    let machine = Machine::new(|_| Ok(SPACE));
    assert_eq!(machine.told("error").0, Vec::<String>::new());
    machine.write("proc/diskstats", " 254       1 vda9 1\n 254       0 vda1 1 2\n");
    machine.write("sys/fs/ext4/vda1/errors_count", "3\n");
    assert_eq!(machine.told("error").0, ["hostmend.filesystem.error.count{system.device=\"/dev/vda1\"} 3"]);
}
