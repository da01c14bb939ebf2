//! A run that is only simulated, and a plan, as the kernel sees them: nothing is performed.

use std::path::Path;

use rustix::process::Signal;

use super::{Host, WITHIN};
use crate::program::{Running, binary, run, skip, stderr, stdout};

const STRACE: &str = "/usr/bin/strace";

/// Whatever could change something of another's.
const CHANGES: &str = "unlink,unlinkat,rename,renameat,renameat2,truncate,ftruncate,fallocate,kill,tgkill,tkill,\
    pidfd_send_signal,symlink,symlinkat,link,linkat,chmod,fchmod,fchmodat,chown,fchownat,setxattr,execve,execveat,mount,umount2,\
    reboot,prlimit64,mkdirat,openat,openat2,creat";

const BOTH: &str = "step(\"restart\", || proc::restart(p.process)); \
                    file::remove_old(p.spool, \"1s\", \"1MiB\", #{ matching: \"*.gz\" }); fixed(\"both\")";
const VERIFY: &str = "    verify: { expr: 'vector(1) == 1', within: 4s, settle: 0s }\n";

/// Lines of the trace in which a call changes something outside of the agent's own state, or starts a program that is not
/// the agent itself.
fn changes(trace: &str, host: &Host) -> Vec<String> {
    let spool = host.path("spool").to_str().unwrap().to_owned();
    let pid_file = host.path("victim.pid").to_str().unwrap().to_owned();
    let is_change = |line: &&str| {
        let writes = line.contains("O_WRONLY") || line.contains("O_RDWR") || line.contains("O_CREAT");
        let is_open = line.contains(" openat") || line.contains(" creat(");
        let touches = line.contains(&spool) || line.contains(&pid_file);
        let starts =
            line.contains(" execve") && !line.contains("/proc/self/exe") && !line.contains("/hostmend\"");
        // The agent ends the processes of its own scripts.
        let signals = ["kill(", "pidfd_send_signal("].iter().any(|call| line.contains(call));
        let signals =
            signals && !line.contains("SIGKILL") && !line.contains("SIG_0") && !line.contains(", 0");
        starts || signals || (touches && (!is_open || writes))
    };
    trace
        .lines()
        .filter(|line| !line.contains("ENOENT") && !line.contains("+++") && !line.contains("---"))
        .filter(is_change)
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_simulated_run_and_a_plan_perform_nothing_as_the_kernel_sees_it() {
    if !Path::new(STRACE).exists() {
        return skip("strace", "strace is missing (./test --install)");
    }
    let host = Host::new("shadow", BOTH, "", VERIFY);
    for name in ["a.gz", "b.gz", "c.log"] {
        host.write(&format!("spool/{name}"), "old");
        let file = std::fs::File::options().write(true).open(host.path(&format!("spool/{name}"))).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    let mut agent = traced(&host);
    let (outcome, reason) = host.finished(&mut agent, 1);
    assert_eq!(outcome, "shadowed", "{reason}\n{}", agent.log());
    let intended = host.steps_of("action_intended");
    assert_eq!(intended.len(), 2, "{intended:?}");
    assert!(intended.iter().all(|event| event["step"]["simulated"] == true), "{intended:?}");
    let planned = run(&["plan", "VictimGone", "--config", &host.configuration()]);
    let plan = stdout(&planned);
    assert!(plan.contains("restart process victim") && plan.contains("*.gz"), "{plan}{}", stderr(&planned));

    let pid = child(agent.id());
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    agent.ended(WITHIN);
    let traced = std::fs::read_to_string(host.path("trace")).unwrap();
    assert!(traced.contains("execve"), "nothing was traced: {traced}");
    assert_eq!(changes(&traced, &host), Vec::<String>::new());
    assert_eq!(host.victim(), None);
    assert_eq!(std::fs::read_dir(host.path("spool")).unwrap().count(), 3);
}

#[test]
fn what_the_trace_is_searched_for_is_in_it_when_the_run_is_real() {
    if !Path::new(STRACE).exists() {
        return skip("strace", "strace is missing (./test --install)");
    }
    let host = Host::new("auto", BOTH, "", VERIFY);
    host.write("spool/a.gz", "old");
    let mut agent = traced(&host);
    host.finished(&mut agent, 1);
    rustix::process::kill_process(child(agent.id()), Signal::TERM).unwrap();
    // strace follows what the run has started, which outlives the agent.
    let victim = rustix::process::Pid::from_raw(host.victim().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(victim, Signal::KILL).unwrap();
    agent.ended(WITHIN);
    let found = changes(&std::fs::read_to_string(host.path("trace")).unwrap(), &host);
    assert!(found.iter().any(|line| line.contains("sleep")), "{found:?}");
}

/// Starts the agent below strace, which writes the calls that change something to the file `trace`.
fn traced(host: &Host) -> Running {
    let (trace, calls) = (host.path("trace"), format!("trace={CHANGES}"));
    let (trace, program, configuration) = (trace.to_str().unwrap(), binary(), host.configuration());
    let options = ["-f", "-qq", "-y", "-s", "300", "-e", &calls, "-o", trace];
    let agent = [program.to_str().unwrap(), "run", "--config", &configuration];
    Running::start(Path::new(STRACE), &[&options[..], &agent[..]].concat(), &[], &host.path("log"))
}

/// The agent below strace.
fn child(parent: u32) -> rustix::process::Pid {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let pid = children.split_whitespace().next().unwrap().parse().unwrap();
    rustix::process::Pid::from_raw(pid).unwrap()
}
