//! The one line of `/proc/PID/stat`.
//!
//! Works on bytes and allocates nothing: it runs once per process and cycle, and the name may hold any bytes.

/// The longest name that the kernel keeps of a process of a user.
pub(crate) const COMM_BYTES: usize = 16;

/// What we use of `/proc/PID/stat`, numbered as in `proc_pid_stat(5)`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Stat<'a> {
    /// 2: the name, without its parentheses.
    pub(crate) comm: &'a [u8],
    /// 3: a letter.
    pub(crate) state: u8,
    /// 4: the number of its parent.
    pub(crate) parent: u64,
    /// 9: the bit that says that this is a thread of the kernel.
    pub(crate) is_kernel_thread: bool,
    /// 10
    pub(crate) minor_faults: u64,
    /// 12
    pub(crate) major_faults: u64,
    /// 14
    pub(crate) user_ticks: u64,
    /// 15
    pub(crate) system_ticks: u64,
    /// 20
    pub(crate) threads: u64,
    /// 22, ticks since boot.
    pub(crate) start_ticks: u64,
    /// 23: 0 for a kernel thread and a zombie, which have no address space.
    pub(crate) virtual_bytes: u64,
    /// 24: cheaper and less exact than `statm`.
    pub(crate) resident_pages: u64,
    /// 42: 0 unless the kernel accounts for delays.
    pub(crate) wait_ticks: u64,
}

impl Stat<'_> {
    /// Whether the process still does or can do something: neither a zombie nor dead.
    pub(crate) fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// `PF_KTHREAD` of the kernel's `include/linux/sched.h`.
const PF_KTHREAD: u64 = 0x0020_0000;

/// What a line should look like, for messages.
pub(crate) const EXPECTED: &str = "PID (NAME) STATE and at least 39 numbers";

/// `None` when the line is not of that form.
pub(crate) fn parse(line: &[u8]) -> Option<Stat<'_>> {
    // The name may hold spaces, newlines and parentheses, so the last `)` ends it.
    let open = line.iter().position(|byte| *byte == b'(')?;
    let close = line.iter().rposition(|byte| *byte == b')')?;
    let mut fields = line.get(close + 1..)?.split(|byte| *byte == b' ').skip(1);
    let state = *fields.next()?.first()?;
    let mut last = 3;
    let mut field = |number: usize| {
        let skipped = number - last - 1;
        last = number;
        fields.nth(skipped).and_then(decimal)
    };
    Some(Stat {
        comm: line.get(open + 1..close)?,
        state,
        parent: field(4)?,
        is_kernel_thread: field(9)? & PF_KTHREAD != 0,
        minor_faults: field(10)?,
        major_faults: field(12)?,
        user_ticks: field(14)?,
        system_ticks: field(15)?,
        threads: field(20)?,
        start_ticks: field(22)?,
        virtual_bytes: field(23)?,
        resident_pages: field(24)?,
        wait_ticks: field(42)?,
    })
}

/// A number without a sign; `None` when it is none or does not fit.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &[u8] =
        b"S 1 3 4 5 -1 4194560 10 11 12 13 14 15 16 17 20 0 18 0 22 2300 24 18446744073709551615 \
        26 27 28 29 30 31 32 33 34 35 36 37 17 1 0 0 42 0 0 1 2 3 4 5 6 7 0\n";

    #[test]
    fn fields_are_found_behind_any_name() {
        for name in ["bash", "a b", "a) R (b", ")", "(", "", "x\ny", "((\u{ff}))"] {
            let mut line = b"42 (".to_vec();
            line.extend_from_slice(name.as_bytes());
            line.extend_from_slice(b") ");
            line.extend_from_slice(REST);
            let expected = Stat {
                comm: name.as_bytes(),
                state: b'S',
                parent: 1,
                is_kernel_thread: false,
                minor_faults: 10,
                major_faults: 12,
                user_ticks: 14,
                system_ticks: 15,
                threads: 18,
                start_ticks: 22,
                virtual_bytes: 2300,
                resident_pages: 24,
                wait_ticks: 42,
            };
            assert_eq!(parse(&line), Some(expected), "{name:?}");
        }
    }

    #[test]
    fn a_cut_line_is_refused() {
        for line in ["", "42", "42 (sh", "42 (sh)", "42 (sh) S", "42 )sh( S 1", "42 (sh) S 1 2 3 4 5 6 7 8"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
