//! Who else looks after what a run would touch.
//!
//! Two who repair one thing repair against each other. Monit owns what its checks name or its commands start, Pacemaker the
//! units that it has changed, a container's runtime or Kubernetes what runs in a container.

use std::collections::HashMap;
use std::path::PathBuf;

use collectors::{FoundProcess, HostRoot, container_keeper};

/// Where Monit's configuration is: the file, and directories that it usually takes more from.
const MONITRC: [&str; 2] = ["etc/monit/monitrc", "etc/monitrc"];
const MONIT_DIRECTORIES: [&str; 4] =
    ["etc/monit/conf.d", "etc/monit/conf-enabled", "etc/monit/monitrc.d", "etc/monit.d"];

/// Files looked at in each of those.
const MOST_FILES: usize = 1_000;

/// Targets, as runbooks print them, with the program that owns them.
pub(super) fn of(
    host: &HostRoot,
    targets: &[String],
    pid_files: &HashMap<String, PathBuf>,
    processes: &[FoundProcess],
) -> Vec<(String, String)> {
    let monit = processes.iter().any(|process| process.command == "monit").then(|| Monit::read(host));
    let mut owners = Vec::new();
    for target in targets {
        let Some((kind, name)) = target.split_once(' ') else { continue };
        let pid_file = pid_files.get(name);
        let owner = match kind {
            "unit" => pacemaker(host, name).or_else(|| monit.as_ref()?.owner(name, None)),
            "process" => {
                let monit = || monit.as_ref()?.owner(name, pid_file);
                container(host, name, pid_file, processes).or_else(monit)
            }
            _ => None,
        };
        owners.extend(owner.map(|owner| (target.clone(), owner)));
    }
    owners
}

/// Pacemaker leaves a drop-in with each unit that it runs.
fn pacemaker(host: &HostRoot, unit: &str) -> Option<String> {
    let drop_in = host.path(format!("run/systemd/system/{unit}.d/50-pacemaker.conf"));
    drop_in.exists().then(|| "Pacemaker".to_owned())
}

fn container(
    host: &HostRoot,
    name: &str,
    pid_file: Option<&PathBuf>,
    processes: &[FoundProcess],
) -> Option<String> {
    let named = match pid_file {
        Some(path) => {
            let pid = host.read(path).ok()?.text().trim().parse().ok()?;
            vec![pid]
        }
        None => processes.iter().filter(|found| found.command == name).map(|found| found.pid).collect(),
    };
    named.into_iter().find_map(|pid| container_keeper(host, pid)).map(str::to_owned)
}

/// What Monit's configuration says.
#[derive(Debug, Default)]
struct Monit {
    texts: Vec<String>,
    /// A file that cannot be read may say anything.
    unread: Option<String>,
}

impl Monit {
    fn read(host: &HostRoot) -> Self {
        let mut files: Vec<PathBuf> = MONITRC.iter().map(PathBuf::from).collect();
        for directory in MONIT_DIRECTORIES {
            let listing = std::fs::read_dir(host.path(directory)).into_iter().flatten().take(MOST_FILES);
            files.extend(
                listing.filter_map(|entry| Some(PathBuf::from(directory).join(entry.ok()?.file_name()))),
            );
        }
        let mut monit = Self::default();
        for file in files {
            match host.read(&file) {
                Ok(text) => monit.texts.push(text.text().to_owned()),
                // A directory may be there that cannot be looked into.
                Err(_) if host.path(&file).try_exists().is_ok_and(|exists| !exists) => {}
                Err(_) => monit.unread = Some(format!("/{}", file.display())),
            }
        }
        monit
    }

    fn owner(&self, name: &str, pid_file: Option<&PathBuf>) -> Option<String> {
        if self.texts.iter().any(|text| names(text, name, pid_file)) {
            return Some("Monit".to_owned());
        }
        let unread = self.unread.as_ref()?;
        Some(format!(
            "Monit, perhaps: {unread} cannot be read; the drop-in /usr/share/doc/hostmend/examples/see-more.conf lets \
             the agent read it (CAP_DAC_READ_SEARCH)"
        ))
    }
}

/// Whether a configuration has a check of this name or pid file, or a command that names the service.
fn names(text: &str, name: &str, pid_file: Option<&PathBuf>) -> bool {
    let stem = name.strip_suffix(".service").unwrap_or(name);
    text.lines().map(str::trim_start).filter(|line| !line.starts_with('#')).any(|line| {
        let words = line
            .split(|c: char| c.is_ascii_whitespace() || "\"'=,".contains(c))
            .filter(|word| !word.is_empty());
        let all: Vec<&str> = words.collect();
        let is_check = matches!(all.as_slice(), [check, kind, ..]
            if check.eq_ignore_ascii_case("check") && kind.eq_ignore_ascii_case("process"));
        let checks = is_check && all.get(2).is_some_and(|word| *word == stem || *word == name);
        let by_file = pid_file.is_some_and(|path| all.iter().any(|word| path.as_os_str() == *word));
        let runs = all.iter().any(|word| {
            word.ends_with("systemctl") || word.ends_with("service") || word.contains("/init.d/")
        });
        let means = |word: &&str| {
            *word == stem
                || *word == name
                || word.strip_suffix(".service") == Some(stem)
                || word.ends_with(&format!("/init.d/{stem}"))
        };
        checks || by_file || (runs && all.iter().any(means))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONITRC_TEXT: &str = "set daemon 30\n\
        check process nginx with pidfile /run/nginx.pid\n\
        \x20 start program = \"/usr/bin/systemctl start nginx\"\n\
        # check process old with pidfile /run/old.pid\n\
        check process \"frontend\" matching \"node server\"\n\
        \x20 restart program = \"/bin/systemctl restart web-app.service\"\n\
        check host db with address 127.0.0.1\n\
        \x20 if failed port 5432 then exec \"/etc/init.d/postgres restart\"\n";

    #[test]
    fn monit_owns_what_its_checks_name_and_its_commands_start() {
        for (name, pid_file, expected) in [
            ("nginx.service", None, true),
            ("nginx", None, true),
            ("web-app.service", None, true),
            ("postgres.service", None, true),
            ("web", Some("/run/nginx.pid"), true),
            ("old.service", None, false),
            ("app.service", None, false),
            ("web", Some("/run/web.pid"), false),
        ] {
            let pid_file = pid_file.map(PathBuf::from);
            assert_eq!(names(MONITRC_TEXT, name, pid_file.as_ref()), expected, "{name}");
        }
    }

    #[test]
    fn monit_owns_nothing_where_it_does_not_run_and_perhaps_everything_where_it_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/monit/conf.d")).unwrap();
        std::fs::write(dir.path().join("etc/monit/conf.d/all"), MONITRC_TEXT).unwrap();
        let host = HostRoot::at(dir.path());
        let targets = ["unit nginx.service", "unit db.service", "path /var"].map(str::to_owned);
        let owners = |processes: &[FoundProcess]| of(&host, &targets, &HashMap::new(), processes);
        assert_eq!(owners(&[]), []);
        let monit = [FoundProcess { pid: 7, command: "monit".to_owned(), ..FoundProcess::default() }];
        assert_eq!(owners(&monit), [("unit nginx.service".to_owned(), "Monit".to_owned())]);
        // A directory stands for a file that cannot be read: these tests may run as root.
        std::fs::create_dir(dir.path().join("etc/monit/monitrc")).unwrap();
        let found = owners(&monit);
        assert!(
            found.len() == 2 && found[1].1.starts_with("Monit, perhaps: /etc/monit/monitrc"),
            "{found:?}"
        );
    }

    #[test]
    fn pacemaker_owns_the_units_that_it_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostRoot::at(dir.path());
        let drop_in = dir.path().join("run/systemd/system/db.service.d");
        std::fs::create_dir_all(&drop_in).unwrap();
        std::fs::write(drop_in.join("50-pacemaker.conf"), "").unwrap();
        let targets = ["unit db.service", "unit web.service"].map(str::to_owned);
        let found = of(&host, &targets, &HashMap::new(), &[]);
        assert_eq!(found, [("unit db.service".to_owned(), "Pacemaker".to_owned())]);
    }
}
