//! Accepts connections and sees to it that none of them stays for nothing.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::receiver::Sink;
use crate::receiver::answer::Service;

/// Further ones wait in the kernel's backlog.
const CONNECTIONS: usize = 128;

/// How long a client may take over the head of a request, the first or the next.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// An HTTP/2 client that is silent for so long is asked whether it lives.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Calls in parallel on one HTTP/2 connection; further ones wait.
const STREAMS: u32 = 32;

/// When the system has no descriptor left, asking again at once only burns time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn accept(
    listener: TcpListener,
    sink: Arc<Sink>,
    mut stop: watch::Receiver<Option<Duration>>,
) {
    let service = Service::new(sink);
    let server = server();
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = async {
            let permit = connections.clone().acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, permit)
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            _ = stop.wait_for(Option::is_some) => break,
        };
        match accepted {
            (Ok((stream, _)), permit) => {
                tokio::spawn(serve(stream, server.clone(), service.clone(), graceful.watcher(), permit));
            }
            (Err(_), _) => sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    let grace = stop.borrow().unwrap_or_default();
    // What has not finished by then is cut off when the runtime goes.
    let _ = timeout(grace, graceful.shutdown()).await;
}

fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .max_concurrent_streams(STREAMS);
    server
}

async fn serve(
    stream: TcpStream,
    server: auto::Builder<TokioExecutor>,
    service: Service,
    graceful: Watcher,
    permit: OwnedSemaphorePermit,
) {
    let _permit = permit;
    let begun = Arc::new(AtomicBool::new(false));
    let mark = begun.clone();
    let answering = service_fn(move |request| {
        mark.store(true, Ordering::Relaxed);
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let connection = server.serve_connection(TokioIo::new(stream), answering).into_owned();
    let mut connection = pin!(graceful.watch(connection));
    // Before the first bytes have told HTTP/1 from HTTP/2, hyper's own timeouts do not run.
    tokio::select! {
        _ = &mut connection => return,
        () = sleep(HEAD_TIMEOUT) => {}
    }
    if begun.load(Ordering::Relaxed) {
        // How a connection ends is the client's affair; requests were answered one by one.
        let _ = connection.await;
    }
}
