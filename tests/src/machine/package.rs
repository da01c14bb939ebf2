//! The package under test, built once for all stories.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::ensure;

use super::{Machine, command};
use crate::program::root;

/// A .deb.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) path: PathBuf,
}

/// The package at `$HOSTMEND_PACKAGE`, else what `packaging/build.sh` builds.
pub(crate) fn package() -> &'static Package {
    static PACKAGE: OnceLock<Package> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        if let Some(path) = std::env::var_os("HOSTMEND_PACKAGE") {
            return Package { path: PathBuf::from(path) };
        }
        let built = command(root().join("packaging/build.sh")).output().expect("packaging/build.sh starts");
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "packaging/build.sh: {errors}");
        let printed = String::from_utf8_lossy(&built.stdout);
        let path = printed.lines().last().expect("it prints the path of the package");
        Package { path: root().join(path.trim()) }
    })
}

impl Package {
    /// The same package under a higher version, as the next release would be.
    pub(crate) fn as_version(&self, version: &str, directory: &Path) -> anyhow::Result<Self> {
        let tree = directory.join("tree");
        let path = directory.join(format!("hostmend_{version}.deb"));
        let script = "dpkg-deb -R \"$1\" \"$2\" && sed -i \"s/^Version:.*/Version: $3/\" \"$2/DEBIAN/control\" \
                      && dpkg-deb -Zgzip -z1 --root-owner-group -b \"$2\" \"$4\"";
        let done = command("sh")
            .args(["-c", script, "sh"])
            .args([&self.path, &tree, Path::new(version), &path])
            .output()?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(Self { path })
    }
}

impl Machine {
    /// Installs a package, or upgrades to it, as an administrator would.
    pub(crate) fn install(&self, package: &Package) -> anyhow::Result<()> {
        self.memory_was_bounded()?;
        self.write("/root/package.deb", std::fs::read(&package.path)?)?;
        // The machine's image leaves out all documentation; the drop-ins of the executor are among ours.
        let ours = "--path-include=/usr/share/doc/hostmend/*";
        self.does(&["dpkg", ours, "--install", "/root/package.deb"]).map(drop)
    }

    /// Puts the files of `tests/machine/hosts/<name>` over the machine's `/etc/hostmend`, and has the agent read them.
    pub(crate) fn configure(&self, name: &str) -> anyhow::Result<()> {
        self.configure_with(name, |text| text)
    }

    /// As [`Self::configure`], with what the story makes of each file.
    pub(crate) fn configure_with(&self, name: &str, fill: impl Fn(String) -> String) -> anyhow::Result<()> {
        let from = root().join("tests/machine/hosts").join(name);
        for entry in std::fs::read_dir(&from)? {
            let path = entry?.path();
            let to = format!("/etc/hostmend/{}", path.file_name().unwrap_or_default().to_string_lossy());
            self.write(&to, fill(std::fs::read_to_string(&path)?))?;
        }
        self.memory_was_bounded()?;
        self.configured.set(true);
        self.does(&["systemctl", "restart", "hostmend"]).map(drop)
    }
}
