use std::fs;

use telemetry::SampleBuffer;

use super::*;

/// A host with these files.
fn host_with(files: &[(&str, &str)]) -> (tempfile::TempDir, HostRoot) {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(&dir, path, text);
    }
    let host = HostRoot::at(dir.path());
    (dir, host)
}

fn write(dir: &tempfile::TempDir, path: &str, text: &str) {
    let path = dir.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn told(hardware: &mut Hardware, host: &HostRoot) -> String {
    let mut out = SampleBuffer::default();
    hardware.collect(host, &mut out).unwrap();
    out.to_text()
}

#[test]
fn a_sensor_keeps_its_id_when_the_kernel_numbers_the_chips_anew() {
    for chip in ["hwmon0", "hwmon7"] {
        let directory = format!("sys/devices/platform/coretemp.0/hwmon/{chip}");
        let (dir, host) = host_with(&[
            (&format!("{directory}/name"), "coretemp\n"),
            (&format!("{directory}/temp1_input"), "55000\n"),
            (&format!("{directory}/temp1_label"), "Package id 0\n"),
        ]);
        fs::create_dir_all(dir.path().join("sys/class/hwmon")).unwrap();
        let link = dir.path().join("sys/class/hwmon").join(chip);
        std::os::unix::fs::symlink(format!("../../devices/platform/coretemp.0/hwmon/{chip}"), link).unwrap();
        let text = told(&mut Hardware::default(), &host);
        let expected = "hw.temperature{hw.id=\"coretemp.0/temp1\",hw.name=\"Package id 0\",hw.parent=\"coretemp.0\",\
                        hw.sensor_location=\"Package id 0\"} 55\n";
        assert_eq!(text, expected);
    }
}

#[test]
fn a_host_without_hardware_is_no_failure_and_one_that_comes_is_seen() {
    let (dir, host) = host_with(&[]);
    let mut hardware = Hardware::default();
    let mut out = SampleBuffer::default();
    let result = hardware.collect(&host, &mut out);
    assert_eq!(result, Err(CollectError::Absent { what: "hardware that tells of itself" }));
    write(&dir, "sys/class/power_supply/BAT0/type", "Battery");
    write(&dir, "sys/class/power_supply/BAT0/capacity", "81");
    assert!(told(&mut hardware, &host).contains("} 0.81\n"));
    fs::remove_dir_all(dir.path().join("sys/class/power_supply/BAT0")).unwrap();
    assert!(hardware.collect(&host, &mut out).is_err());
}

#[test]
fn a_file_that_went_is_looked_for_again_and_its_neighbours_are_told() {
    let (dir, host) = host_with(&[
        ("sys/class/hwmon/hwmon0/name", "chip"),
        ("sys/class/hwmon/hwmon0/temp1_input", "1000"),
        ("sys/class/hwmon/hwmon0/temp2_input", "2000"),
    ]);
    let mut hardware = Hardware::default();
    assert_eq!(told(&mut hardware, &host).lines().count(), 2);
    fs::remove_file(dir.path().join("sys/class/hwmon/hwmon0/temp1_input")).unwrap();
    write(&dir, "sys/class/hwmon/hwmon0/temp3_input", "3000");
    assert_eq!(told(&mut hardware, &host).lines().count(), 1);
    assert!(told(&mut hardware, &host).contains("chip/temp3"));
}

#[test]
fn energy_goes_on_where_its_counter_began_again_even_after_another_look() {
    let zone = "sys/class/powercap/intel-rapl:0";
    let (dir, host) = host_with(&[
        (&format!("{zone}/name"), "package-0"),
        (&format!("{zone}/energy_uj"), "9000000"),
        (&format!("{zone}/max_energy_range_uj"), "10000000"),
    ]);
    let mut hardware = Hardware::default();
    assert!(told(&mut hardware, &host).ends_with("} 9\n"));
    write(&dir, &format!("{zone}/energy_uj"), "1000000");
    assert!(told(&mut hardware, &host).ends_with("} 11\n"));
    write(&dir, "sys/class/powercap/other/name", "x");
    write(&dir, &format!("{zone}/energy_uj"), "2000000");
    assert!(told(&mut hardware, &host).ends_with("} 12\n"));
}

#[test]
fn an_array_that_lost_a_disk_is_degraded_and_one_that_broke_has_failed() {
    for (state, missing, expected) in [
        ("clean", "0", "ok"),
        ("active", "1", "degraded"),
        ("broken", "1", "failed"),
        ("inactive", "0", "failed"),
    ] {
        let (_dir, host) =
            host_with(&[("sys/block/md0/md/array_state", state), ("sys/block/md0/md/degraded", missing)]);
        let text = told(&mut Hardware::default(), &host);
        let is_in: Vec<&str> = text.lines().filter(|line| line.ends_with(" 1")).collect();
        assert_eq!(is_in.len(), 1, "{text}");
        assert!(is_in[0].contains(&format!("hw.state=\"{expected}\"")), "{state} {missing}: {text}");
    }
}

#[test]
fn a_bond_lives_on_one_link_and_fails_with_the_last() {
    for (first, second, expected) in [
        ("up", "up", "ok"),
        ("up", "down", "degraded"),
        ("down", "up", "degraded"),
        ("down", "down", "failed"),
    ] {
        let (_dir, host) = host_with(&[
            ("sys/class/net/bond0/bonding/slaves", "a b\n"),
            ("sys/class/net/bond0/lower_a/bonding_slave/mii_status", first),
            ("sys/class/net/bond0/lower_b/bonding_slave/mii_status", second),
        ]);
        let text = told(&mut Hardware::default(), &host);
        let bond =
            format!("hw.id=\"bond0\",hw.name=\"bond0\",hw.type=\"network\",hw.state=\"{expected}\"}} 1");
        assert!(text.contains(&bond), "{text}");
        let up = format!(
            "hw.network.up{{hw.id=\"bond0/a\",hw.name=\"a\",hw.parent=\"bond0\"}} {}",
            i32::from(first == "up")
        );
        assert!(text.contains(&up), "{text}");
    }
}

#[test]
fn cpus_of_a_core_count_its_throttles_together() {
    let mut files = Vec::new();
    for (cpu, core, package, of_core, of_package) in
        [(0, 0, 0, 5, 100), (1, 0, 0, 5, 100), (2, 1, 0, 7, 100), (3, 0, 1, 11, 200)]
    {
        let at = |file: &str| format!("sys/devices/system/cpu/cpu{cpu}/{file}");
        files.push((at("topology/core_id"), core.to_string()));
        files.push((at("topology/physical_package_id"), package.to_string()));
        files.push((at("thermal_throttle/core_throttle_count"), of_core.to_string()));
        files.push((at("thermal_throttle/package_throttle_count"), of_package.to_string()));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let (_dir, host) = host_with(&files);
    let text = told(&mut Hardware::default(), &host);
    assert_eq!(
        text,
        "system.cpu.linux.thermal_throttles{system.cpu.linux.throttle.scope=\"core\"} 23\n\
         system.cpu.linux.thermal_throttles{system.cpu.linux.throttle.scope=\"package\"} 300\n"
    );
    let per_cpu = told(&mut Hardware { per_cpu: true, ..Hardware::default() }, &host);
    assert_eq!(per_cpu.lines().count(), 5, "{per_cpu}");
    assert!(per_cpu.contains("scope=\"core\",cpu.logical_number=2} 7\n"), "{per_cpu}");
}

#[test]
fn a_link_that_does_not_know_its_speed_says_none() {
    let device = "sys/devices/pci0000:00/0000:03:00.0/net/eth0";
    for (speed, points) in [("10000", 1), ("-1", 0), ("4294967295", 0), ("", 0)] {
        let (dir, host) =
            host_with(&[(&format!("{device}/speed"), speed), (&format!("{device}/carrier"), "1")]);
        fs::create_dir_all(dir.path().join("sys/class/net")).unwrap();
        std::os::unix::fs::symlink(
            "../../devices/pci0000:00/0000:03:00.0/net/eth0",
            dir.path().join("sys/class/net/eth0"),
        )
        .unwrap();
        let text = told(&mut Hardware::default(), &host);
        assert!(text.contains("hw.network.up{hw.id=\"0000:03:00.0/eth0\",hw.name=\"eth0\"} 1"), "{text}");
        assert_eq!(text.matches("hw.network.bandwidth.limit").count(), points, "{text}");
    }
}

#[test]
fn errors_of_memory_are_told_by_module_where_the_driver_knows_modules() {
    let (_dir, host) = host_with(&[
        ("sys/devices/system/edac/mc/mc0/ce_count", "12"),
        ("sys/devices/system/edac/mc/mc0/ue_count", "0"),
        ("sys/devices/system/edac/mc/mc0/ce_noinfo_count", "2"),
        ("sys/devices/system/edac/mc/mc0/dimm0/dimm_ce_count", "10"),
        ("sys/devices/system/edac/mc/mc0/dimm0/dimm_label", "CPU_SrcID#0_MC#0_Chan#0_DIMM#0"),
        ("sys/devices/system/edac/mc/mc0/dimm0/size", "16384"),
    ]);
    let text = told(&mut Hardware::default(), &host);
    assert!(
        text.contains("hw.id=\"mc0\",hw.name=\"mc0\",hw.type=\"memory\",error.type=\"corrected\"} 2\n"),
        "{text}"
    );
    assert!(
        text.contains("hw.id=\"mc0/dimm0\"") && text.contains("error.type=\"corrected\"} 10\n"),
        "{text}"
    );
    assert!(text.contains("} 17179869184\n"), "{text}");
}
