//! Nobody but the agent has anything done by the executor.

use anyhow::ensure;

use crate::machine::Release::{Debian12, Debian13};
use crate::machine::{package, story};

/// Connects to the executor's socket, asks for a restart, and prints the answer.
const ASK: &str = r#"
use IO::Socket::UNIX;
my $socket = IO::Socket::UNIX->new(Peer => "/run/hostmend/executor.sock") or die "cannot connect: $!\n";
print $socket qq({"action":"restart_unit","unit":"nginx.service"}\n);
shutdown($socket, 1);
print while <$socket>;
"#;

#[test]
#[ignore = "boots machines: ./test --system"]
fn another_local_user_cannot_reach_the_executor() {
    story(&[Debian12, Debian13], |host| {
        host.install(package())?;
        host.configure("quick")?;
        for user in ["nobody", "www-data"] {
            let asked = host.run(&["runuser", "-u", user, "--", "perl", "-e", ASK])?;
            ensure!(
                asked.stderr.contains("Permission denied"),
                "{user} got: {}{}",
                asked.stdout,
                asked.stderr
            );
        }
        Ok(())
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn whoever_gets_to_the_socket_without_being_the_agent_is_refused() {
    story(&[Debian12], |host| {
        host.start("nginx")?;
        host.install(package())?;
        host.configure("quick")?;
        host.write("/etc/hostmend/policy.yaml", "units:\n  - { name: nginx.service, at_most: 5 per 1h }\n")?;
        let before = host.main_pid("nginx")?;
        // Root passes the file's mode, not the question who asks.
        let asked = host.does(&["perl", "-e", ASK])?;
        ensure!(asked.contains("refused"), "root got: {asked}");
        ensure!(host.main_pid("nginx")? == before, "nginx was restarted");
        Ok(())
    });
}
