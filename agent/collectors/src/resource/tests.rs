use super::*;

const ALL: [Detector; 5] =
    [Detector::Host, Detector::Os, Detector::Cloud, Detector::Cpu, Detector::Addresses];

fn lines(host: &HostRoot, wanted: &[Detector]) -> Vec<String> {
    host_resource(host, wanted)
        .into_iter()
        .map(|(key, value)| match value {
            AttributeValue::Text(text) => format!("{key}={text}"),
            AttributeValue::Int(number) => format!("{key}={number}"),
            AttributeValue::Texts(texts) => format!("{key}={}", texts.join(",")),
        })
        .collect()
}

/// A host that has these files.
fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, HostRoot) {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let host = HostRoot::captured(dir.path());
    (dir, host)
}

#[test]
fn a_captured_host_says_who_it_is() {
    let expected = [
        "host.id=9c1f6b0a52de4c0d8b7e3a1f60c2d495",
        "host.name=firecracker-6.18",
        "host.arch=amd64",
        "os.type=linux",
        "os.name=Debian GNU/Linux",
        "os.description=Debian GNU/Linux 12 (bookworm)",
        "os.version=12",
        "os.build_id=6.18.44-fc-v669",
    ];
    let host = HostRoot::fixture("firecracker-6.18");
    assert_eq!(lines(&host, &[Detector::Host, Detector::Os, Detector::Cloud]), expected);
    assert_eq!(lines(&host, &[Detector::Os]), expected[3..]);
    assert_eq!(lines(&host, &[]), [""; 0]);
}

#[test]
fn what_is_missing_or_empty_is_left_out() {
    let (_dir, host) = host(&[
        ("etc/machine-id", "\n"),
        ("proc/sys/kernel/hostname", "web-01\n"),
        ("proc/1/net/if_inet6", ""),
    ]);
    assert_eq!(lines(&host, &ALL), ["host.name=web-01", "os.type=linux"]);
}

#[test]
fn the_machine_id_of_a_containers_image_is_not_the_hosts() {
    let files = [("etc/machine-id", "0123\n"), (".dockerenv", ""), ("proc/sys/kernel/hostname", "c\n")];
    let (_dir, mounted) = host(&files);
    assert!(
        lines(&mounted, &[Detector::Host]).contains(&"host.id=0123".to_owned()),
        "the host's root, mounted"
    );
    let own = mounted.into_own_root();
    assert_eq!(lines(&own, &[Detector::Host]), ["host.name=c"]);
}

/// Each directory below fixtures/clouds is a host of one cloud with what is to be found out about it.
#[test]
fn a_rented_host_says_where_it_stands() {
    let clouds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/clouds");
    let mut seen = 0;
    for entry in std::fs::read_dir(clouds).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let found = lines(&HostRoot::captured(&path), &[Detector::Host, Detector::Cloud]).join("\n") + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path.join("attributes.txt"), &found).unwrap();
        }
        let expected = std::fs::read_to_string(path.join("attributes.txt")).unwrap();
        assert_eq!(found, expected, "{}", path.display());
        seen += 1;
    }
    assert!(seen > 5);
}

#[test]
fn data_from_another_cloud_that_came_with_the_image_does_not_count() {
    let data = r#"{"v1": {"cloud_name": "openstack", "instance_id": "old", "region": "old"}}"#;
    let (_dir, host) = host(&[
        ("sys/class/dmi/id/sys_vendor", "Hetzner\n"),
        ("run/cloud-init/instance-data.json", data),
        ("etc/machine-id", "0123\n"),
    ]);
    assert_eq!(
        lines(&host, &[Detector::Host, Detector::Cloud]),
        ["host.id=0123", "cloud.provider=hetzner", "cloud.platform=hetzner.cloud_server"]
    );
}

#[test]
fn a_host_that_is_not_rented_has_no_cloud_though_cloud_init_set_it_up() {
    let data = r#"{"v1": {"cloud_name": "nocloud", "instance_id": "iid-local01", "region": null}}"#;
    let (_dir, host) = host(&[("run/cloud-init/instance-data.json", data), ("etc/machine-id", "0123\n")]);
    assert_eq!(lines(&host, &[Detector::Host, Detector::Cloud]), ["host.id=0123"]);
}

#[test]
fn the_processor_and_the_addresses_are_told_when_asked_for() {
    let (_dir, host) = host(&[
        ("proc/cpuinfo", "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: EPYC\n"),
        ("sys/devices/system/cpu/cpu0/cache/index2/size", "512K\n"),
        ("sys/class/net/lo/address", "00:00:00:00:00:00\n"),
        ("sys/class/net/docker0/address", "02:42:ac:11:00:01\n"),
        ("sys/class/net/eth0/address", "52:54:00:12:34:56\n"),
        ("sys/class/net/eth0/device/vendor", "0x1af4\n"),
        ("proc/1/net/fib_trie", "Local:\n  |-- 192.0.2.17\n     /32 host LOCAL\n"),
        ("proc/1/net/if_inet6", "20010db8000000000000000000000002 02 40 00 80     eth0\n"),
    ]);
    assert_eq!(
        lines(&host, &[Detector::Cpu, Detector::Addresses]),
        [
            "host.cpu.vendor.id=AuthenticAMD",
            "host.cpu.model.name=EPYC",
            "host.cpu.cache.l2.size=524288",
            "host.ip=192.0.2.17,2001:db8::2",
            "host.mac=52-54-00-12-34-56,02-42-AC-11-00-01",
        ]
    );
}

#[test]
fn architectures_have_the_names_of_the_conventions() {
    for (machine, name) in [
        ("x86_64", "amd64"),
        ("aarch64", "arm64"),
        ("i686", "x86"),
        ("armv7l", "arm32"),
        ("ppc64le", "ppc64"),
        ("s390x", "s390x"),
        ("riscv64", "riscv64"),
    ] {
        assert_eq!(architecture(machine), name);
    }
}

#[test]
fn an_instance_is_the_same_for_the_same_data_and_else_its_own() {
    assert_eq!(instance_id_from("web-01"), instance_id_from("web-01"));
    assert_ne!(instance_id_from("web-01"), instance_id_from("web-02"));
    assert_ne!(new_instance_id(), new_instance_id());
}
