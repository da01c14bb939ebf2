//! How a release is linked: with the addresses that the loader has to relocate packed, which saves 0.8 MB of the program.
//! The C library can read them since 2.36; where an older one builds, and so is to run it, they stay as they are.

#![forbid(unsafe_code)]

use std::process::Command;

/// The first glibc that loads packed relocations: `DT_RELR` in its NEWS for 2.36.
const READS_PACKED: (u32, u32) = (2, 36);

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let native = std::env::var("HOST").ok() == std::env::var("TARGET").ok();
    if native
        && is("PROFILE", "release")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && glibc() >= Some(READS_PACKED)
    {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of the C library here.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing safe in the standard library tells it, and no host is changed"
)]
fn glibc() -> Option<(u32, u32)> {
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let told = String::from_utf8(told).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
