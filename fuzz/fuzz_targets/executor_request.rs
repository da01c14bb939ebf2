//! Whatever an agent that was taken over sends, it is read without a panic, and nothing is done without a policy.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| executor::hostile_input::request(input));
