use super::*;

#[test]
fn a_dead_process_is_started_and_its_pid_file_written() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let Ok(Outcome::Restarted { ended: None, killed: false, pid, .. }) = host.restart() else { panic!() };
    assert!(is_alive(pid));
    assert_eq!(std::fs::read_to_string(host.pid_file()).unwrap(), format!("{pid}\n"));
    assert!(!host.pid_file().with_file_name("web.pid.new").exists());
}

#[test]
fn a_running_process_is_ended_and_replaced() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let victim = spawn(&["/bin/sleep", "1000"]);
    host.write_pid(victim.0.id());
    let Ok(Outcome::Restarted { ended, killed: false, pid, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(victim.0.id()));
    assert!(!is_alive(victim.0.id()) && is_alive(pid));
}

#[test]
fn a_program_that_cannot_be_started_does_not_cost_the_one_that_runs() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("web");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut host = Host::new(&format!("[{}, \"1000\"]", program.display()), "");
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    std::fs::remove_file(&program).unwrap();
    assert!(matches!(host.restart(), Err(ActionError::Failed { .. })));
    assert!(is_alive(pid));
}

#[test]
fn what_could_not_be_started_again_is_not_ended() {
    let directory = tempfile::tempdir().unwrap();
    let (program, logs) = (directory.path().join("web"), directory.path().join("logs"));
    let log = logs.join("web.log");
    std::fs::create_dir(&logs).unwrap();
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut host =
        Host::new(&format!("[{}, \"1000\"]\n  log_file: {}", program.display(), log.display()), "");
    let rule = &mut host.executor.policy.processes[0];
    rule.at_most = "99 per 1h".parse().unwrap();
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    let clear = |path: &Path| {
        let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path));
    };
    let fifo = |path: &Path| {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    };
    let script = |text: &str| {
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    let program_cases: [(&dyn Fn(), &str); 6] = [
        (&|| std::fs::create_dir(&program).unwrap(), "web is not a regular file"),
        (&|| fifo(&program), "web is not a regular file"),
        (&|| script(""), "begins neither as an ELF file nor with `#!`"),
        (&|| script("sleep 1000\n"), "begins neither as an ELF file nor with `#!`"),
        (&|| script("#!/nonexistent/sh -e\n"), "looking for the program /nonexistent/sh"),
        (&|| script("#!\n"), "/ is not a regular file"),
    ];
    let mut stays = |expected: &str| {
        let error = host.restart().unwrap_err().to_string();
        assert!(error.contains(expected), "{error} instead of {expected}");
        assert!(is_alive(pid), "{expected}");
        let left_behind = host.pid_file().with_file_name("web.pid.new");
        assert!(!left_behind.is_file(), "{expected}");
    };
    for (make, expected) in program_cases {
        clear(&program);
        make();
        stays(expected);
    }
    clear(&program);
    std::fs::copy("/bin/sleep", &program).unwrap();
    let log_cases: [(&dyn Fn(), &str); 4] = [
        (&|| fifo(&log), "web.log is not a regular file"),
        (&|| std::fs::create_dir(&log).unwrap(), "web.log is not a regular file"),
        (&|| std::os::unix::fs::symlink("/dev/null", &log).unwrap(), "web.log is not a regular file"),
        (&|| std::fs::remove_dir(&logs).unwrap(), "opening the log file"),
    ];
    for (make, expected) in log_cases {
        clear(&log);
        make();
        stays(expected);
    }
}

#[test]
fn where_no_pid_file_can_be_written_nothing_is_ended() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    let beside = host.pid_file().with_file_name("web.pid.new");
    std::fs::create_dir(&beside).unwrap();
    let error = host.restart().unwrap_err().to_string();
    assert!(error.starts_with("preparing the pid file ") && is_alive(pid), "{error}");
    std::fs::remove_dir(&beside).unwrap();
    std::fs::remove_dir_all(host.directory.path()).unwrap();
    let error = host.restart().unwrap_err().to_string();
    assert!(error.starts_with("preparing the pid file ") && is_alive(pid), "{error}");
}

#[test]
fn output_is_appended_to_the_log_file() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("web.log");
    std::fs::write(&log, "before\n").unwrap();
    let command =
        format!("[/bin/sh, -c, \"echo out; echo err >&2; exec sleep 1000\"]\n  log_file: {}", log.display());
    let mut host = Host::new(&command, "");
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    while !Process::open(pid).unwrap().unwrap().command_line().join(" ").starts_with("sleep") {
        std::thread::yield_now();
    }
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "before\nout\nerr\n");
}

#[test]
fn a_pid_file_that_does_not_name_the_new_process_is_told_and_leads_to_no_twin() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    host.executor.policy.processes[0].write_pid_file = false;
    let outcome = host.restart().unwrap();
    assert!(outcome.to_string().contains("web.pid does not name it: let the program write it"), "{outcome}");
    let Outcome::Restarted { pid: first, .. } = outcome else { panic!() };
    assert!(is_alive(first));
    let Ok(Outcome::Restarted { ended, pid: second, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(first));
    assert!(!is_alive(first) && is_alive(second));
}

#[test]
fn a_process_that_writes_its_pid_file_a_moment_later_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("own.pid");
    let command = format!("[/bin/sh, -c, \"echo $$ > {}; exec sleep 1000\"]", pid_file.display());
    let mut host = Host::new(&command, "");
    let rule = &mut host.executor.policy.processes[0];
    (rule.write_pid_file, rule.pid_file) = (false, pid_file);
    let Ok(Outcome::Restarted { unnamed_by: None, .. }) = host.restart() else { panic!() };
}

#[test]
fn a_program_that_others_can_replace_is_not_started_and_the_one_that_runs_stays() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("web");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut host = Host::new(&format!("[{}, \"1000\"]", program.display()), "");
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    for (path, sound, loose) in [(program.as_path(), 0o755, 0o757), (directory.path(), 0o700, 0o707)] {
        let set = |mode| {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        };
        set(loose);
        let reason = refusal(host.restart());
        let expected = format!("process web is not started: {} is not trusted: everybody", path.display());
        assert!(reason.starts_with(&expected), "{reason}");
        set(sound);
    }
    assert!(is_alive(pid));
}

#[test]
fn a_restarted_process_can_be_restarted_again_and_leaves_no_zombie() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let Ok(Outcome::Restarted { pid: first, .. }) = host.restart() else { panic!() };
    let Ok(Outcome::Restarted { ended, pid: second, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(first));
    assert!(is_alive(second));
}

#[test]
fn a_child_that_has_lost_its_pid_file_gets_no_twin() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let Ok(Outcome::Restarted { pid: first, .. }) = host.restart() else { panic!() };
    std::fs::remove_file(host.pid_file()).unwrap();
    let Ok(Outcome::Restarted { ended, pid: second, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(first));
    let mut dead = spawn(&["/bin/sleep", "1000"]);
    dead.0.kill().unwrap();
    dead.0.wait().unwrap();
    host.write_pid(dead.0.id());
    let Ok(Outcome::Restarted { ended, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(second));
    assert!(!is_alive(first) && !is_alive(second));
}

#[test]
fn a_process_that_ignores_term_is_killed_after_its_timeout() {
    let mut host = Host::new(&format!("[/bin/sh, -c, {DEFIANT:?}]"), "");
    let victim = spawn(&["/bin/sh", "-c", DEFIANT]);
    host.write_pid(victim.0.id());
    await_defiance(victim.0.id());
    let Ok(Outcome::Restarted { ended, killed: true, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(victim.0.id()));
    assert!(!is_alive(victim.0.id()));
}

#[test]
fn a_stopped_process_ends_without_being_killed() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let victim = spawn(&["/bin/sleep", "1000"]);
    host.write_pid(victim.0.id());
    let pid = rustix::process::Pid::from_child(&victim.0);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let Ok(Outcome::Restarted { killed: false, .. }) = host.restart() else { panic!() };
    assert!(!is_alive(victim.0.id()));
}

#[test]
fn a_script_is_recognised_behind_its_interpreter() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("web.sh");
    std::fs::write(&script, "#!/bin/sh\nwhile :; do read -r _ < /dev/zero; done\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut host = Host::new(&format!("[{}, serve]", script.display()), "");
    let Ok(Outcome::Restarted { pid: first, .. }) = host.restart() else { panic!() };
    let name = |pid: u32| Process::open(pid).unwrap().unwrap().command_line().join(" ");
    while !name(first).contains("serve") {
        std::thread::yield_now();
    }
    let Ok(Outcome::Restarted { ended, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(first));
}

#[test]
fn a_pid_file_that_names_another_process_is_refused() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let other = spawn(&["/bin/sleep", "999"]);
    host.write_pid(other.0.id());
    let reason = refusal(host.restart());
    assert!(reason.contains("but that is `/bin/sleep 999`; remove the file if it is stale"), "{reason}");
    assert!(is_alive(other.0.id()));
}

#[test]
fn a_pid_file_cannot_aim_at_what_the_host_needs() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    for pid in [1, std::process::id(), std::os::unix::process::parent_id()] {
        host.write_pid(pid);
        assert!(refusal(host.restart()).contains("is never touched"), "{pid}");
    }
}

#[test]
fn a_pid_file_that_is_a_link_or_no_number_stops_the_restart() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    std::fs::write(host.pid_file(), "web\n").unwrap();
    assert!(matches!(host.restart(), Err(ActionError::Failed { .. })));
    std::fs::remove_file(host.pid_file()).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", host.pid_file()).unwrap();
    assert!(matches!(host.restart(), Err(ActionError::Failed { .. })));
}

#[test]
fn only_the_listed_environment_reaches_the_process() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]\n  environment: { PORT: \"80\" }", "");
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    await_program(pid);
    let path = format!("/proc/{pid}/environ");
    let environment = std::fs::read_to_string(path).unwrap();
    assert_eq!(environment, "PORT=80\0");
}

#[test]
fn what_was_started_ends_with_the_executor() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    drop(host);
    assert!(!is_alive(pid));
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "that the children share one deadline is seen in how long they take"
)]
fn children_that_ignore_term_are_killed_at_one_deadline_for_all() {
    let directory = tempfile::tempdir().unwrap();
    let mut text = "processes:\n".to_owned();
    for at in 0..4 {
        let _ = write!(
            text,
            "- name: web{at}\n  command: [/bin/sh, -c, {DEFIANT:?}]\n  pid_file: {}/{at}.pid\n  \
             stop_with_executor: true\n  at_most: 3 per 1h\n",
            directory.path().display()
        );
    }
    let mut executor = Executor::new(policy(&text), None);
    let mut pids = Vec::new();
    for at in 0..4 {
        let action = Action::RestartProcess { process: format!("web{at}").as_str().into() };
        let Ok(Outcome::Restarted { pid, .. }) = executor.perform(&action, NOON) else { panic!() };
        await_defiance(pid);
        pids.push(pid);
    }
    let begun = std::time::Instant::now();
    // One after the other they would take 8 s.
    executor.stop_started(Duration::from_secs(2));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    // What was killed is gone when the kernel has got round to it.
    while pids.iter().copied().any(is_alive) {
        assert!(begun.elapsed() < Duration::from_secs(20), "they are still there");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
