//! One record of `/dev/kmsg`, by the kernel's `Documentation/ABI/testing/dev-kmsg`:
//!
//! ```text
//! 6,339,5140900,-;NET: Registered protocol family 10
//! 30,340,5690716,-,caller=T1;udevd[80]: starting version 181
//!  SUBSYSTEM=acpi
//!  DEVICE=+acpi:PNP0A03:00
//! ```

/// Whether a record begins a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Line,
    /// It goes on with the line before, if nothing came between.
    Continuation,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KernelRecord {
    /// syslog's, 0 to 7.
    pub(super) level: u8,
    /// syslog's; 0 is the kernel, which no program can claim to be.
    pub(super) facility: u32,
    pub(super) seqnum: u64,
    /// Microseconds of the monotonic clock.
    pub(super) stamp: u64,
    pub(super) part: Part,
    /// `T` and the number of a thread, or `C` and that of a CPU, where the kernel says who called.
    pub(super) caller: Option<String>,
    pub(super) text: Vec<u8>,
    /// What it says of the device, such as `SUBSYSTEM` and `DEVICE`.
    pub(super) properties: Vec<(Vec<u8>, Vec<u8>)>,
}

impl KernelRecord {
    /// Reads one record; nothing where it is not one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let at = bytes.iter().position(|byte| *byte == b';')?;
        let (header, rest) = bytes.split_at_checked(at)?;
        let mut header = std::str::from_utf8(header).ok()?.split(',');
        let prefix: u32 = header.next()?.parse().ok()?;
        let seqnum = header.next()?.parse().ok()?;
        let stamp = header.next()?.parse().ok()?;
        let part = match header.next()? {
            "c" | "+" => Part::Continuation,
            _ => Part::Line,
        };
        let caller = header.find_map(|field| field.strip_prefix("caller=")).map(str::to_owned);
        let mut lines = rest.get(1..)?.split(|byte| *byte == b'\n');
        let text = unescape(lines.next().unwrap_or_default());
        let properties = lines.filter_map(|line| {
            let line = line.strip_prefix(b" ")?;
            let at = line.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
            let (key, value) = line.split_at_checked(at)?;
            Some((unescape(key), unescape(value.get(1..)?)))
        });
        let properties = properties.collect();
        let (level, facility) = ((prefix & 7) as u8, prefix >> 3);
        Some(Self { level, facility, seqnum, stamp, part, caller, text, properties })
    }

    /// Whether it goes on with `before`.
    pub(super) fn continues(&self, before: &Self) -> bool {
        self.part == Part::Continuation
            && self.seqnum == before.seqnum + 1
            && (self.facility, &self.caller) == (before.facility, &before.caller)
    }
}

/// The kernel writes control characters, bytes beyond ASCII and the backslash as `\xNN`.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escaped = rest.strip_prefix(b"\\x").and_then(|rest| {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
            Some((u8::from_str_radix(digits, 16).ok()?, rest.get(2..)?))
        });
        let (byte, after) = escaped.unwrap_or((*first, after));
        out.push(byte);
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> KernelRecord {
        KernelRecord::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_record_is_read_with_its_properties() {
        let record = parse(
            "7,160,424069,-;pci_root PNP0A03:00: host bridge window [io  0x0000-0x0cf7]\n \
             SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A03:00\n",
        );
        assert_eq!((record.level, record.facility, record.seqnum, record.stamp), (7, 0, 160, 424_069));
        assert_eq!(record.text, b"pci_root PNP0A03:00: host bridge window [io  0x0000-0x0cf7]");
        let properties = [("SUBSYSTEM", "acpi"), ("DEVICE", "+acpi:PNP0A03:00")];
        assert_eq!(record.properties, properties.map(|(key, value)| (key.into(), value.into())));
    }

    #[test]
    fn who_writes_into_the_log_from_outside_is_told_from_the_kernel() {
        let record = parse("30,340,5690716,-,caller=T1;udevd[80]: starting version 181");
        assert_eq!((record.level, record.facility, record.caller.as_deref()), (6, 3, Some("T1")));
    }

    #[test]
    fn bytes_are_what_they_were_before_the_kernel_escaped_them() {
        assert_eq!(parse(r"6,1,2,-;caf\xc3\xa9 \x5cx41 \x0a\x").text, "café \\x41 \n\\x".as_bytes());
    }

    #[test]
    fn only_what_follows_at_once_continues_a_line() {
        let first = parse("6,10,2,-;ACPI: (supports");
        assert!(parse("6,11,3,c; S0 S5)").continues(&first));
        assert!(!parse("6,12,3,c; S0 S5)").continues(&first));
        assert!(!parse("6,11,3,-;other").continues(&first));
        assert!(!parse("6,11,3,c,caller=T9; other").continues(&first));
    }

    #[test]
    fn what_is_no_record_is_none() {
        for text in ["", ";", "6;x", "6,1,2;x", "a,1,2,-;x", "6,1,2,-", "-1,1,2,-;x"] {
            assert_eq!(KernelRecord::parse(text.as_bytes()), None, "{text}");
        }
    }
}
