use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use std::str::FromStr as _;

static ASKED: AtomicUsize = AtomicUsize::new(0);
static ANSWERS: AtomicBool = AtomicBool::new(false);

/// A name server that is silent until it is told to answer.
fn silent(_: &str) -> io::Result<Vec<SocketAddr>> {
    ASKED.fetch_add(1, Ordering::SeqCst);
    while !ANSWERS.load(Ordering::SeqCst) {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    Ok(("127.0.0.1", 0).to_socket_addrs()?.collect())
}

#[test]
fn a_name_server_that_hangs_keeps_one_thread_of_a_destination_and_nothing_of_others() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(2).enable_all().build().unwrap();
    let name = || Name::from_str("collector.example").unwrap();
    let (mut hanging, mut sound) = (Lookup::with(silent), Lookup::with(|_| Ok(Vec::new())));
    runtime.block_on(async {
        for _ in 0..5 {
            let looking = hanging.call(name());
            assert!(timeout(Duration::from_millis(5), looking).await.is_err());
        }
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
        assert_eq!(sound.call(name()).await.unwrap().count(), 0);
        ANSWERS.store(true, Ordering::SeqCst);
        assert_eq!(hanging.call(name()).await.unwrap().count(), 1, "it serves again");
    });
}

#[test]
fn a_tunnel_without_a_port_leads_to_the_port_of_the_scheme() {
    for (uri, expected) in [
        ("http://collector", "http://collector:80/"),
        ("http://[::1]", "http://[::1]:80/"),
        ("http://collector:4317", "http://collector:4317/"),
        ("https://collector", "https://collector/"),
    ] {
        assert_eq!(with_port(Uri::from_static(uri)).to_string(), expected);
    }
}
