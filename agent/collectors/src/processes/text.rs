//! The small files of a process other than `stat`: finds single numbers in them, in bytes and without allocating.

use super::stat::decimal;

/// What `io` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DiskIo {
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

/// What we use of `status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
    pub(crate) signals_pending: u32,
    /// CPUs on which it may run, those included that are not there.
    pub(crate) cpus_allowed: u32,
}

/// Parses `2294 383 …` of `statm`: pages of address space, then resident ones.
pub(crate) fn parse_statm(line: &[u8]) -> Option<[u64; 2]> {
    let mut fields = line.split(|byte| *byte == b' ');
    Some([decimal(fields.next()?)?, decimal(fields.next()?)?])
}

/// Finds `read_bytes: 0`, `write_bytes: 4096`, `syscr: 1` and `syscw: 1` in `io`.
pub(crate) fn parse_io(text: &[u8]) -> Option<DiskIo> {
    let mut io = DiskIo::default();
    let mut found = 0;
    for line in text.split(|byte| *byte == b'\n') {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(at);
        let field = match name {
            b"read_bytes" => &mut io.read_bytes,
            b"write_bytes" => &mut io.written_bytes,
            b"syscr" => &mut io.reads,
            b"syscw" => &mut io.writes,
            _ => continue,
        };
        *field = decimal(value.strip_prefix(b": ")?)?;
        found += 1;
    }
    (found == 4).then_some(io)
}

/// Finds the switches, the waiting signals and the CPUs in `status` of a process or thread. The name, which is there
/// too, has its newlines escaped by the kernel.
pub(crate) fn parse_status(text: &[u8]) -> Option<Status> {
    Some(Status {
        voluntary_switches: decimal(field(text, b"voluntary_ctxt_switches:")?)?,
        involuntary_switches: decimal(field(text, b"nonvoluntary_ctxt_switches:")?)?,
        signals_pending: bits(field(text, b"SigPnd:")?)? + bits(field(text, b"ShdPnd:")?)?,
        cpus_allowed: bits(field(text, b"Cpus_allowed:")?)?,
    })
}

/// The second number of `schedstat`: nanoseconds ready to run and waiting.
pub(crate) fn parse_schedstat(line: &[u8]) -> Option<u64> {
    decimal(line.split(|byte| *byte == b' ').nth(1)?)
}

/// Finds `Pss:  123 kB` in `smaps_rollup`, in bytes.
pub(crate) fn parse_pss(text: &[u8]) -> Option<u64> {
    decimal(field(text, b"Pss:")?.strip_suffix(b" kB")?)?.checked_mul(1024)
}

/// Finds the soft limit of `Max open files` in `limits`; `None` also when there is none.
pub(crate) fn parse_descriptor_limit(text: &[u8]) -> Option<u64> {
    let limits = field(text, b"Max open files")?;
    decimal(limits.split(|byte| *byte == b' ').next()?)
}

/// What follows `name` on its line, without white space around it.
fn field<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name)).map(<[u8]>::trim_ascii)
}

/// How many bits are set in a mask in hexadecimal digits, which the kernel groups by commas.
fn bits(mask: &[u8]) -> Option<u32> {
    mask.iter()
        .filter(|digit| **digit != b',')
        .try_fold(0_u32, |bits, digit| Some(bits + char::from(*digit).to_digit(16)?.count_ones()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_the_files_as_the_kernel_writes_them() {
        let io = b"rchar: 2012\nwchar: 0\nsyscr: 7\nsyscw: 1\nread_bytes: 4096\nwrite_bytes: 512\ncancelled_write_bytes: 3\n";
        let expected = DiskIo { read_bytes: 4096, written_bytes: 512, reads: 7, writes: 1 };
        assert_eq!(parse_io(io), Some(expected));
        let status = b"Name:\tx\\nPss:\nSigQ:\t0/96\nSigPnd:\t0000000000000001\nShdPnd:\t0000000000000402\n\
            Cpus_allowed:\tff,00000003\nCpus_allowed_list:\t0-1\nvoluntary_ctxt_switches:\t31\n\
            nonvoluntary_ctxt_switches:\t8\n";
        let expected =
            Status { voluntary_switches: 31, involuntary_switches: 8, signals_pending: 3, cpus_allowed: 10 };
        assert_eq!(parse_status(status), Some(expected));
        assert_eq!(parse_schedstat(b"96153912 1223456 77\n"), Some(1_223_456));
        assert_eq!(
            parse_pss(b"55d-7ff ---p 0 00:00 0 [rollup]\nRss:  900 kB\nPss:  321 kB\nPss_Dirty: 1 kB\n"),
            Some(321 << 10)
        );
        let limits = b"Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files     \n";
        assert_eq!(parse_descriptor_limit(limits), Some(1024));
        assert_eq!(parse_descriptor_limit(b"Max open files  unlimited  unlimited  files\n"), None);
    }

    #[test]
    fn what_is_cut_or_missing_is_not_guessed() {
        assert_eq!(parse_io(b"syscr: 7\nsyscw: 1\nread_bytes: 4096\nwrite_b"), None);
        assert_eq!(parse_io(b"syscr: 7\nsyscw:1\nread_bytes: 1\nwrite_bytes: 1\n"), None);
        assert_eq!(parse_status(b"SigPnd:\t0\n"), None);
        assert_eq!(parse_pss(b"Pss: 321 MB\n"), None);
        assert_eq!(parse_schedstat(b"96153912\n"), None);
    }
}
