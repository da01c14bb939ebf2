//! Whether the executor's unit of this host is granted what the policy needs.
//!
//! Only a host with the packaged unit can be looked at; elsewhere nothing is said. A drop-in is known by what it grants,
//! whatever it is called.

use std::path::Path;

use documents::Problem;
use executor::Policy;

const UNIT: &str = "hostmend-executor.service";

/// Where the package puts units.
const PACKAGED: [&str; 2] = ["usr/lib/systemd/system", "lib/systemd/system"];

/// Where systemd looks for drop-ins: systemd.unit(5).
const PLACES: [&str; 4] =
    ["etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system"];

/// A warning for each drop-in that is missing. `root` is the host's.
pub(super) fn missing(policy: &Policy, root: &Path) -> Vec<Problem> {
    if !PACKAGED.iter().any(|place| root.join(place).join(UNIT).exists()) {
        return Vec::new();
    }
    let granted = granted(root);
    let lacks = |grant: &str| !granted.lines().any(|line| !line.starts_with('#') && line.contains(grant));
    policy
        .drop_ins()
        .filter(|drop_in| lacks(drop_in.grant))
        .map(|drop_in| {
            let message = format!("{UNIT} may not do what the policy allows: {}", drop_in.what);
            let name = drop_in.file.trim_start_matches("executor-");
            Problem::about(&policy.file, message).as_warning().with_hint(format!(
                "install -D -m 644 /usr/share/doc/hostmend/examples/{} /etc/systemd/system/{UNIT}.d/{name}, then systemctl daemon-reload",
                drop_in.file
            ))
        })
        .collect()
}

/// What the unit's owner has written, all together.
fn granted(root: &Path) -> String {
    let mut text = std::fs::read_to_string(root.join("etc/systemd/system").join(UNIT)).unwrap_or_default();
    let directories = PLACES.iter().map(|place| root.join(place).join(format!("{UNIT}.d")));
    for entry in directories.filter_map(|directory| directory.read_dir().ok()).flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "conf") {
            text.push('\n');
            text.push_str(&std::fs::read_to_string(entry.path()).unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use documents::Document;

    use super::*;

    #[test]
    fn a_drop_in_that_the_policy_needs_is_missed_until_something_grants_the_same() {
        let text =
            "sysctls: [{ name: vm.swappiness, value: { at_least: 0, at_most: 9 }, at_most: 1 per 1h }]\n";
        let policy = Policy::read(&Document::from_text(Path::new("policy.yaml"), text)).unwrap();
        let host = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = host.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert!(missing(&policy, host.path()).is_empty(), "nobody knows the executor's unit");
        write("usr/lib/systemd/system/hostmend-executor.service", "[Service]\n");
        write("etc/systemd/system/hostmend-executor.service.d/mine.conf", "# ProtectKernelTunables=no\n");
        let said = missing(&policy, host.path());
        let [problem] = said.as_slice() else { panic!("{said:?}") };
        assert!(
            problem.to_string().contains("may not do what the policy allows: parameters of the kernel"),
            "{problem}"
        );
        assert!(problem.to_string().contains("examples/executor-sysctls.conf"), "{problem}");
        write(
            "run/systemd/system/hostmend-executor.service.d/a.conf",
            "[Service]\nProtectKernelTunables=no\n",
        );
        assert!(missing(&policy, host.path()).is_empty());
    }
}
