//! Takes everything from the process that a script runs in, for good, before it reads the script.
//!
//! Limits end it when it takes too much memory or processor time; the system call filter leaves it memory of its own and the
//! open socket to the agent. What would be an attempt to break out ends it at once. Landlock is a second wall behind the
//! filter, where the kernel has it.

use std::collections::BTreeMap;
use std::io::Error;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// All that the child may map, its program and libraries included; a program with debug symbols is large.
const MAX_ADDRESS_SPACE: u64 = 256 << 20;
/// The memory that is its own. With the program's pages it stays below 64 MiB of resident memory.
pub(super) const MAX_MEMORY: u64 = 40 << 20;
/// The processor time that a script may take. Waiting takes none.
pub(super) const MAX_CPU_SECONDS: u64 = 1;
const MAX_OPEN_FILES: u64 = 16;

/// How the kernel is to choose when memory is short: this process long before the agent, which has less than 0 where it is a
/// service. `proc_pid_oom_score_adj(5)`; to raise one's own needs no right.
const OOM_SCORE_ADJ: i32 = 500;
const OOM_SCORE_ADJ_FILE: &str = "/proc/self/oom_score_adj";

/// What a script's process may still ask of the kernel; anything else fails as not permitted.
const ALLOWED: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_read,
    libc::SYS_recvfrom,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sendto,
    libc::SYS_sigaltstack,
    libc::SYS_write,
];

/// What nothing in the child has a reason to ask: who does has broken out of the language, and is ended.
const FATAL: &[i64] = &[
    libc::SYS_bpf,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_connect,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_io_uring_setup,
    libc::SYS_kill,
    libc::SYS_memfd_create,
    libc::SYS_mount,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_open,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_setns,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_tkill,
    libc::SYS_unshare,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// Never lowers what it has, for which it would need a right. Before the process is made undumpable: then the file is root's.
pub(super) fn go_first_when_memory_is_short() -> std::io::Result<()> {
    let score = std::fs::read_to_string(OOM_SCORE_ADJ_FILE)?;
    if score.trim().parse().is_ok_and(|score: i32| score >= OOM_SCORE_ADJ) {
        return Ok(());
    }
    std::fs::write(OOM_SCORE_ADJ_FILE, OOM_SCORE_ADJ.to_string())
}

/// Confines the process, and says whether landlock is part of that.
pub(super) fn confine() -> std::io::Result<bool> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // The kernel counts from the start of the process and in whole seconds; what starting took is not the script's.
    let started = clock_gettime(ClockId::ProcessCPUTime);
    let begun = u64::try_from(started.tv_sec).unwrap_or(0) + u64::from(started.tv_nsec > 300_000_000);
    let cpu = begun + MAX_CPU_SECONDS;
    for (resource, limit, most) in [
        (Resource::As, MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE),
        (Resource::Data, MAX_MEMORY, MAX_MEMORY),
        (Resource::Cpu, cpu, cpu + 1),
        (Resource::Core, 0, 0),
        (Resource::Fsize, 0, 0),
        (Resource::Nofile, MAX_OPEN_FILES, MAX_OPEN_FILES),
        (Resource::Nproc, 0, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(most) })?;
    }
    let has_landlock = touch_nothing().map_err(Error::other)?;
    filter_calls().map_err(Error::other)?;
    Ok(has_landlock)
}

/// Forbids every file, port, and signal to others, as far as the kernel knows how.
fn touch_nothing() -> Result<bool, landlock::RulesetError> {
    let newest = ABI::V6;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(newest))?
        .handle_access(AccessNet::from_all(newest))?
        .scope(Scope::from_all(newest))?
        .create()?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// Of two filters the kernel takes the sterner word.
fn filter_calls() -> Result<(), seccompiler::Error> {
    let arch = std::env::consts::ARCH.try_into()?;
    let fatal = FATAL.iter().map(|call| (*call, Vec::new())).collect();
    let allowed =
        SeccompFilter::new(allowed()?, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow, arch)?;
    let fatal = SeccompFilter::new(fatal, SeccompAction::Allow, SeccompAction::KillProcess, arch)?;
    // The allow-list comes last: under it no further filter can be set.
    for filter in [fatal, allowed] {
        let program: BpfProgram = filter.try_into()?;
        seccompiler::apply_filter_all_threads(&program)?;
    }
    Ok(())
}

fn allowed() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    // Memory, but none that holds code.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let mask = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
        let no_code = SeccompCondition::new(2, SeccompCmpArgLen::Dword, mask, 0)?;
        rules.insert(call, vec![SeccompRule::new(vec![no_code])?]);
    }
    // Aborting is a signal to oneself.
    let own = u64::from(std::process::id());
    let to_oneself = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, own)?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![to_oneself])?]);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    /// What the child of the tests below tries once it is confined.
    const TRIED: &str = "HOSTMEND_TEST_TRIED";

    #[test]
    #[ignore = "the tests below start it in a process of its own"]
    fn confined() {
        let tried = std::env::var(TRIED).unwrap();
        // Before it is confined: what follows has no business with files.
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let parent = rustix::process::getppid().unwrap();
        confine().unwrap();
        let refused = |result: std::io::Result<()>| {
            std::process::exit(if result.is_err_and(|e| e.raw_os_error() == Some(libc::EPERM)) {
                7
            } else {
                8
            })
        };
        match tried.as_str() {
            "open" => drop(std::fs::File::open("/etc/passwd")),
            #[expect(clippy::disallowed_methods, reason = "what is tried here must not succeed")]
            "execute" => drop(Command::new("/bin/true").spawn()),
            "connect" => drop(std::net::TcpStream::connect("127.0.0.1:1")),
            "thread" => drop(std::thread::Builder::new().spawn(|| {})),
            "kill the parent" => {
                let _ = rustix::process::kill_process(parent, rustix::process::Signal::TERM);
            }
            "list" => refused(std::fs::metadata("/etc").map(drop)),
            "delete" => refused(std::fs::remove_file("/nowhere")),
            "send a descriptor" => refused(
                rustix::net::sendmsg(
                    &ours,
                    &[],
                    &mut rustix::net::SendAncillaryBuffer::default(),
                    rustix::net::SendFlags::empty(),
                )
                .map(drop)
                .map_err(Error::from),
            ),
            "abort" => std::process::abort(),
            "compute" => loop {
                std::hint::black_box(0);
            },
            "grow" => drop(std::hint::black_box(vec![1_u8; 64 << 20])),
            _ => {
                use std::io::{Read, Write};
                let mut byte = [0];
                (&ours).write_all(b"x").and_then(|()| (&theirs).read_exact(&mut byte)).unwrap();
                std::process::exit(9);
            }
        }
        std::process::exit(6);
    }

    #[expect(clippy::disallowed_methods, reason = "a process can be confined only once")]
    fn trying(what: &str) -> std::process::ExitStatus {
        let program = std::env::current_exe().unwrap();
        Command::new(program)
            .args([
                "--ignored",
                "--exact",
                "runner::confine::tests::confined",
                "--nocapture",
                "--test-threads=1",
            ])
            .env_clear()
            .env(TRIED, what)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap()
    }

    #[test]
    fn who_tries_to_break_out_is_ended() {
        for what in ["open", "execute", "connect", "thread", "kill the parent"] {
            assert_eq!(trying(what).signal(), Some(libc::SIGSYS), "{what}");
        }
    }

    #[test]
    fn what_is_not_allowed_fails_and_what_is_needed_works() {
        for what in ["list", "delete", "send a descriptor"] {
            assert_eq!(trying(what).code(), Some(7), "{what}");
        }
        assert_eq!(trying("talk").code(), Some(9));
        assert_eq!(trying("abort").signal(), Some(libc::SIGABRT));
    }

    #[test]
    fn too_much_memory_or_processor_time_ends_it() {
        assert_eq!(trying("grow").signal(), Some(libc::SIGABRT));
        assert_eq!(trying("compute").signal(), Some(libc::SIGXCPU));
    }
}
