//! Whatever stands where a file of the kernel is expected, no parser panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| collectors::hostile_input::parse_as_everything(input));
