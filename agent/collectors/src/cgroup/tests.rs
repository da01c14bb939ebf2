use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn the_unit_of_a_path_is_one_of_the_system_whatever_users_call_theirs() {
    for (path, unit) in [
        ("/", None),
        ("/init.scope", Some("init.scope")),
        ("/system.slice", None),
        ("/system.slice/nginx.service", Some("nginx.service")),
        ("/system.slice/nginx.service/worker", Some("nginx.service")),
        ("/system.slice/system-getty.slice/getty@tty1.service", Some("getty@tty1.service")),
        ("/system.slice/_cpu.service", Some("cpu.service")),
        ("/user.slice/user-0.slice/session-3.scope", Some("session-3.scope")),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", Some("user@1000.service")),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service", Some("user@1000.service")),
        ("/user.slice/user-1000.slice/user@1000.service/tmux/x.service", Some("user@1000.service")),
        ("/system.slice/a.service/payload/b.service", Some("a.service")),
        ("/../../system.slice/cron.service", Some("cron.service")),
        ("/machine.slice/machine-web.scope/payload/system.slice/nginx.service", Some("machine-web.scope")),
        ("/lxc.payload.web/system.slice/nginx.service", None),
        ("/.service", None),
        ("", None),
    ] {
        assert_eq!(unit_of(path), unit, "{path}");
    }
}

#[test]
fn the_layouts_of_container_runtimes_are_known() {
    for (path, runtime) in [
        ("/docker/ID", Some("docker")),
        ("/docker/ID/init.scope", Some("docker")),
        ("/system.slice/docker-ID.scope", Some("docker")),
        ("/kubepods/burstable/pod7/ID", None),
        ("/kubepods.slice/kubepods-pod7.slice/cri-containerd-ID.scope", Some("containerd")),
        ("/kubepods.slice/kubepods-pod7.slice/crio-ID.scope", Some("cri-o")),
        ("/system.slice/containerd.service/kubepods-pod7.slice:cri-containerd:ID", Some("containerd")),
        ("/machine.slice/libpod-ID.scope/container", Some("podman")),
        ("/libpod_parent/libpod-ID", Some("podman")),
    ] {
        let path = path.replace("ID", ID);
        assert_eq!(container_of(&path), Some(ID), "{path}");
        let pairs: Vec<&str> = names(&path).collect();
        let told = std::iter::once(&"")
            .chain(&pairs)
            .zip(&pairs)
            .find_map(|(parent, name)| container_at(parent, name));
        assert_eq!(told, Some(Container { id: ID, runtime }), "{path}");
    }
    assert_eq!(container_of("/lxc/web/init.scope"), Some("web"));
    assert_eq!(container_of("/lxc.payload.web/init.scope"), Some("web"));
    assert_eq!(
        container_of(&format!("/docker/{ID}/docker/{}", ID.replace('0', "f"))),
        Some(&*ID.replace('0', "f"))
    );
}

#[test]
fn what_is_no_container_is_told_for_none() {
    for path in [
        "/",
        "/system.slice/docker.service",
        "/system.slice/docker-0123.scope",
        "/process_api/dd94ae96cc0ed4ecad8d4ec03b64e722",
        "/machine.slice/libpod-conmon-ID.scope",
        "/lxc",
    ] {
        assert_eq!(container_of(&path.replace("ID", ID)), None, "{path}");
    }
}

#[test]
fn the_cgroup_of_a_process_is_that_of_version_2_unless_only_version_1_tells_something() {
    for (text, path) in [
        ("0::/system.slice/cron.service\n", Some("/system.slice/cron.service")),
        ("0::/system.slice/cron.service (deleted)\n", Some("/system.slice/cron.service")),
        ("9:name=systemd:/a.service\n4:memory:/b\n0::/\n", Some("/a.service")),
        ("9:name=systemd:/a.service\n0::/c.service\n", Some("/c.service")),
        ("3:cpu,cpuacct:/b\n1:name=systemd:/a:b.service\n", Some("/a:b.service")),
        ("0::/\n", Some("/")),
        ("4:memory:/b\n", None),
        ("", None),
        ("0:", None),
    ] {
        assert_eq!(path_of_process(text), path, "{text:?}");
    }
}
