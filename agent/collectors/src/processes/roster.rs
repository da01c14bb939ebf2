//! The processes that are known, from cycle to cycle.

use super::process::Process;

/// Known processes.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Sorted by number.
    pub(super) known: Vec<Process>,
    /// Those of the cycle before; empty between cycles, kept for its memory.
    before: Vec<Process>,
}

impl Roster {
    /// Looks at the processes of these numbers, in order. Those of which `is_there` says `false`, and those whose number is
    /// not among them, are forgotten.
    pub(super) fn renew(
        &mut self,
        pids: impl IntoIterator<Item = u32>,
        mut is_there: impl FnMut(&mut Process) -> bool,
    ) {
        std::mem::swap(&mut self.known, &mut self.before);
        let mut before = self.before.drain(..).peekable();
        for pid in pids {
            while before.next_if(|process| process.pid < pid).is_some() {}
            let known = before.next_if(|process| process.pid == pid);
            let mut process = known.unwrap_or_else(|| Process::new(pid));
            if is_there(&mut process) {
                self.known.push(process);
            }
        }
    }
}
