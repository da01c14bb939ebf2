//! What stories do with units, and expect of them and of the agent.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Machine, until};

impl Machine {
    /// Starts a unit, and waits until systemd says that it is up.
    pub(crate) fn start(&self, unit: &str) -> anyhow::Result<()> {
        self.does(&["systemctl", "start", unit]).map(drop)
    }

    /// A property of a unit.
    pub(crate) fn show(&self, unit: &str, property: &str) -> anyhow::Result<String> {
        let shown = self.does(&["systemctl", "show", "--value", "--property", property, unit])?;
        Ok(shown.trim().to_owned())
    }

    /// The main process of a unit; 0 if it has none.
    pub(crate) fn main_pid(&self, unit: &str) -> anyhow::Result<u32> {
        self.show(unit, "MainPID")?.parse().context("MainPID is a number")
    }

    /// Sends a signal to the main process of a unit.
    pub(crate) fn kill(&self, unit: &str, signal: &str) -> anyhow::Result<()> {
        let pid = self.main_pid(unit)?;
        ensure!(pid > 0, "{unit} has no main process to send {signal}");
        self.hurt.borrow_mut().insert(unit.to_owned(), pid);
        self.does(&["kill", "-s", signal, &pid.to_string()]).map(drop)
    }

    /// Stops all processes of a unit where they are, so that it neither answers nor ends.
    pub(crate) fn hang(&self, unit: &str) -> anyhow::Result<()> {
        self.hurt.borrow_mut().insert(unit.to_owned(), self.main_pid(unit)?);
        self.does(&["systemctl", "kill", "--signal=STOP", unit]).map(drop)
    }

    /// Waits until a unit is active, with another main process than the one that the story hurt.
    pub(crate) fn expect_active(&self, unit: &str, within: Duration) -> anyhow::Result<()> {
        let hurt = self.hurt.borrow().get(unit).copied();
        until(&format!("{unit} is active again"), within, || {
            let pid = self.main_pid(unit)?;
            Ok(self.show(unit, "ActiveState")? == "active" && pid > 0 && Some(pid) != hurt)
        })
    }

    /// That a socket unit listens.
    pub(crate) fn expect_listening(&self, unit: &str) -> anyhow::Result<()> {
        let state = self.show(unit, "SubState")?;
        ensure!(state == "listening" || state == "running", "{unit} is {state}");
        Ok(())
    }

    /// Waits until so many collections have arrived at the sink in all.
    pub(crate) fn expect_collections(&self, count: u64, within: Duration) -> anyhow::Result<()> {
        until(
            &format!("{count} collections arrive"),
            within,
            || Ok(self.sink.received().collections >= count),
        )
    }

    /// What the journal has of a unit, or of those that a pattern names, since the boot.
    pub(crate) fn journal(&self, unit: &str) -> anyhow::Result<String> {
        self.does(&["journalctl", "--no-pager", "--boot", "--output=cat", "--unit", unit])
    }

    /// Waits until the unit has said `text`.
    pub(crate) fn expect_said(&self, unit: &str, text: &str, within: Duration) -> anyhow::Result<()> {
        until(&format!("{unit} says {text:?}"), within, || Ok(self.journal(unit)?.contains(text)))
    }
}
