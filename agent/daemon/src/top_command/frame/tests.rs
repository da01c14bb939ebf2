use std::collections::BTreeMap;

use super::*;
use crate::status::FiringAlert;
use crate::top::{Cpu, Disk, Filesystem, Interface, Memory, Owed, Pressure};

fn task(name: &str, pid: Option<u32>, [cpu, memory_bytes, io]: [f64; 3]) -> Task {
    Task { name: name.to_owned(), pid, cpu, memory_bytes, io_bytes_per_second: io }
}

fn top() -> Top {
    let share = |of: &str, some, full| Pressure { of: of.to_owned(), some: Some(some), full };
    let mebibytes = |count: f64| count * 1_048_576.0;
    Top {
        host: "web-01".to_owned(),
        at: "2026-11-21T12:34:56.789Z".to_owned(),
        uptime_seconds: Some(93_784.0),
        load: [Some(3.5), Some(2.25), Some(1.0)],
        cpus: Some(4.0),
        stretch: Some(2.0),
        pressure: vec![
            share("cpu", 0.123, None),
            share("memory", 0.0, Some(0.0)),
            share("io", 1.0, Some(0.5)),
        ],
        cpu: Cpu {
            busy: Some(0.42),
            iowait: Some(0.1),
            steal: Some(0.0),
            run_queue: Some(3.0),
            blocked: Some(2.0),
        },
        memory: Memory {
            limit_bytes: Some(mebibytes(8_192.0)),
            used_share: Some(0.75),
            swap_in: Some(12.0),
            ..Memory::default()
        },
        disks: vec![Disk {
            device: "sda".to_owned(),
            busy: 0.98,
            queue: 7.25,
            read_bytes_per_second: 0.0,
            written_bytes_per_second: mebibytes(55.0),
        }],
        interfaces: vec![Interface {
            name: "eth0".to_owned(),
            received_bytes_per_second: 2_048.0,
            drops_per_second: 1.5,
            ..Interface::default()
        }],
        tcp_retransmits_per_second: Some(0.25),
        filesystems: vec![Filesystem { mountpoint: "/".to_owned(), used_share: 0.91 }],
        groups: vec![
            task("nginx.service", None, [0.5, mebibytes(64.0), 0.0]),
            task("postgresql.service", None, [0.25, mebibytes(900.0), mebibytes(5.0)]),
        ],
        processes: vec![
            task("nginx", Some(812), [0.5, mebibytes(64.0), 0.0]),
            task("postgres", Some(99), [0.25, mebibytes(700.0), mebibytes(5.0)]),
        ],
        firing: vec![FiringAlert {
            labels: BTreeMap::from(
                [("alertname", "DiskBusy"), ("device", "sda")].map(|(a, b)| (a.to_owned(), b.to_owned())),
            ),
            value: 1.0,
            for_seconds: 180,
            silenced: None,
            held_until: None,
            repair: None,
        }],
        destinations: vec![Owed {
            name: "away".to_owned(),
            queued_bytes: 3 << 20,
            failing_since: Some("2026-11-21T12:00:00.000Z".to_owned()),
        }],
        ..Top::default()
    }
}

#[test]
fn a_view_shows_what_is_short_and_who_uses_it() {
    assert_eq!(
        frame(&top(), TopOrder::Cpu, (96, 40)).to_text(),
        "\
web-01  up 1d2h3m  load 3.50 2.25 1.00 on 4 CPUs  12:34:56 UTC  collects 2 times as seldom, to s
! DiskBusy for 3m device=sda

waits      some                            all
cpu      12.3 % [###.................]       -
memory    0.0 % [....................]   0.0 % [....................]
io      100.0 % [####################]  50.0 % [##########..........]

cpu     busy 42 %, waiting for I/O 10 %, stolen 0 %; run queue 3, blocked 2
memory  used 75 % of 8.0 GiB; swap used -, pages in 12/s, out -/s; killed for want of it -
disk    sda busy 98 %, queue 7.2, read 0 B/s, written 55.0 MiB/s
network eth0 in 2.0 KiB/s, out 0 B/s, dropped 1.5/s, errors 0.0/s; TCP sent again 0.2/s
space   used: / 91 %
owed    away: 3.0 MiB wait, FAILS since 2026-11-21T12:00:00.000Z

group by CPU                                                         CPU      memory         I/O
nginx.service                                                     50.0 %    64.0 MiB       0 B/s
postgresql.service                                                25.0 %   900.0 MiB   5.0 MiB/s
process by CPU                                                       CPU      memory         I/O
812 nginx                                                         50.0 %    64.0 MiB       0 B/s
99 postgres                                                       25.0 %   700.0 MiB   5.0 MiB/s
"
    );
}

#[test]
fn a_wide_window_has_groups_and_processes_beside_each_other_in_the_order_that_is_asked_for() {
    let text = frame(&top(), TopOrder::Memory, (120, 40)).to_text();
    let lines: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(
        lines.contains(&"group by memory CPU memory I/O process by memory CPU memory I/O".to_owned()),
        "{text}"
    );
    let first = "postgresql.service 25.0 % 900.0 MiB 5.0 MiB/s 99 postgres 25.0 % 700.0 MiB 5.0 MiB/s";
    assert_eq!(lines.iter().rev().nth(1).map(String::as_str), Some(first));
}

#[test]
fn a_view_fits_every_window() {
    let mut top = top();
    top.groups = (0..100).map(|number| task(&format!("group-{number}"), None, [1.0; 3])).collect();
    top.processes = (0..100).map(|number| task("p", Some(number), [1.0; 3])).collect();
    for width in [0, 1, 7, 40, 80, 109, 110, 400] {
        for height in [0, 1, 2, 10, 24, 200] {
            for order in [TopOrder::Cpu, TopOrder::Memory, TopOrder::Io] {
                let frame = frame(&top, order, (width, height));
                assert!(frame.lines.len() <= height.max(1), "{width}x{height}");
                assert!(
                    frame.lines.iter().all(|line| line.text.chars().count() <= width),
                    "{width}x{height}"
                );
            }
        }
    }
}

#[test]
fn names_that_others_choose_move_no_cursor() {
    let mut top = top();
    let hostile = "\x1b[2J\u{9b}31m\r\nroot\u{2028}\x07";
    top.host = hostile.to_owned();
    top.unwell = vec![hostile.to_owned()];
    top.groups = vec![task(hostile, None, [1.0; 3])];
    top.processes = vec![task(hostile, Some(1), [1.0; 3])];
    top.filesystems = vec![Filesystem { mountpoint: hostile.to_owned(), used_share: 1.0 }];
    top.disks = vec![Disk { device: hostile.to_owned(), ..Disk::default() }];
    top.interfaces = vec![Interface { name: hostile.to_owned(), ..Interface::default() }];
    top.destinations = vec![Owed { name: hostile.to_owned(), ..Owed::default() }];
    for labels in [("alertname", hostile), (hostile, hostile)] {
        let labels = BTreeMap::from([(labels.0.to_owned(), labels.1.to_owned())]);
        top.firing.push(FiringAlert {
            labels,
            value: 1.0,
            for_seconds: 1,
            silenced: None,
            held_until: None,
            repair: None,
        });
    }
    for width in [60, 120] {
        for line in &frame(&top, TopOrder::Cpu, (width, 60)).lines {
            let moves = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            assert!(!line.text.contains(moves), "{:?}", line.text);
        }
    }
}

#[test]
fn an_agent_that_has_seen_nothing_yet_makes_a_view_too() {
    let text = frame(&Top::default(), TopOrder::Io, (80, 24)).to_text();
    assert!(text.contains("not known before two collections"), "{text}");
}
