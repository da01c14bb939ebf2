//! Whatever stands in a script's header: what is read of it, a runbook that hands nothing over either lacks something or
//! gets values that the header itself takes.
#![no_main]

use std::path::Path;

use documents::Document;
use remediation::{Header, Params};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(header) = Header::read(&Document::from_text(Path::new("fuzz.rhai"), text)) else { return };
    let Ok(bound) = header.bind(&Params::new()) else { return };
    assert_eq!(header.bind(&bound).as_ref(), Ok(&bound));
    let _ = (header.needs(&bound), header.verify(&bound), header.escalation(&bound));
});
