//! Accepts connections and sees to it that none of them stays for nothing.
//!
//! One timer per connection looks now and then whether anything happens on it; requests themselves set none.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::budget::Places;
use super::peer::Peer;
use super::request::{Asked, Hall, Visit};
use super::slot::Slot;
use super::socket::{Listening, Noted, Stream};

/// An HTTP/2 client that is silent for so long is asked whether it lives.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Calls in parallel on one HTTP/2 connection; further ones wait at the client. A connection keeps half a kilobyte for
/// each that it ever had at once.
const STREAMS: u32 = 64;

/// Streams that a client opened and reset before they were looked at. Beyond it the connection is closed.
const RESET_STREAMS: usize = 32;

/// The head of an HTTP/2 request, decompressed. OTLP needs a tenth.
const HEAD_BYTES: u32 = 16 * 1024;

/// What is read at once of an HTTP/1 connection, and so the longest head. All connections together stay below 16 MiB.
const HTTP1_BUFFER: usize = 32 * 1024;

/// The longest piece in which an HTTP/2 client may send a body. Longer ones cost fewer reads, and each connection may
/// hold one: all together stay below 32 MiB.
const FRAME: u32 = 64 * 1024;

/// What an HTTP/2 client may send before we have read. It is read at once, or refused.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;

/// When the system has no descriptor left, asking again at once only burns time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the connections of a receiver share.
pub(crate) struct House {
    pub(crate) hall: Hall,
    pub(crate) places: Arc<Places>,
    server: auto::Builder<TokioExecutor>,
}

impl House {
    pub(crate) fn new(hall: Hall, places: Arc<Places>) -> Self {
        let mut server = auto::Builder::new(TokioExecutor::new());
        server.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HTTP1_BUFFER);
        server
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .max_concurrent_streams(STREAMS)
            .max_pending_accept_reset_streams(RESET_STREAMS)
            .max_local_error_reset_streams(RESET_STREAMS)
            .max_header_list_size(HEAD_BYTES)
            .max_frame_size(FRAME)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        Self { hall, places, server }
    }
}

/// Takes connections until `stop` is set or gone.
pub(crate) async fn accept(
    socket: Listening,
    slot: Arc<Slot>,
    house: Arc<House>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = async {
            house.places.free().await;
            socket.accept().await
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok(stream) => {
                let place = house.places.take();
                let (slot, house, stop) = (slot.clone(), house.clone(), stop.clone());
                tokio::spawn(async move {
                    let _place = place;
                    admit(stream, slot, house, stop).await;
                });
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | NotConnected)
}

/// Begins TLS where the listener wants it.
async fn admit(stream: Stream, slot: Arc<Slot>, house: Arc<House>, stop: watch::Receiver<bool>) {
    let listener = slot.current();
    let stream = match (stream, &listener.certificates) {
        (Stream::Tcp(stream), Some(certificates)) => {
            let accepting = TlsAcceptor::from(certificates.current()).accept(stream);
            let Ok(Ok(stream)) = timeout(listener.limits.head_timeout, accepting).await else {
                listener.counters.failed_handshakes.fetch_add(1, Relaxed);
                return;
            };
            Stream::Tls(Box::new(stream))
        }
        (stream, _) => stream,
    };
    drop(listener);
    serve(stream, slot, house, stop).await;
}

/// What has happened on a connection.
#[derive(Debug, Default)]
struct Activity {
    /// Requests that have begun.
    begun: AtomicU64,
    /// Requests that have no answer yet.
    open: AtomicUsize,
    is_http1: AtomicBool,
    /// Whether bytes came after the last request: the beginning of a head.
    was_read: Arc<AtomicBool>,
}

async fn serve(stream: Stream, slot: Arc<Slot>, house: Arc<House>, mut stop: watch::Receiver<bool>) {
    let activity = Arc::new(Activity::default());
    let peer = Arc::new(Peer::of(&stream));
    let stream = Noted::new(stream, activity.was_read.clone());
    let answering = service_fn(|request: Request<Incoming>| {
        let (slot, house, peer) = (slot.clone(), house.clone(), peer.clone());
        let asked = Asked::of(request);
        let open = Open::new(&activity, asked.is_http1());
        async move {
            let visit = Visit { hall: &house.hall, listener: &slot.current(), peer: &peer };
            let response = visit.answer(asked).await;
            drop(open);
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(house.server.serve_connection(TokioIo::new(stream), answering));
    let mut silence = Silence::default();
    let mut is_ending = false;
    loop {
        let limits = slot.current().limits;
        tokio::select! {
            // How a connection ends is the client's affair; requests were answered one by one.
            _ = &mut connection => return,
            _ = stop.wait_for(|stop| *stop), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep(limits.head_timeout) => {
                silence.look(&activity, limits.head_timeout);
                if silence.is_rude() {
                    return;
                }
                if silence.lasted >= limits.idle_timeout {
                    if is_ending {
                        return;
                    }
                    is_ending = true;
                    silence.lasted = Duration::ZERO;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// One request between its head and its answer.
struct Open(Arc<Activity>);

impl Open {
    fn new(activity: &Arc<Activity>, is_http1: bool) -> Self {
        activity.begun.fetch_add(1, Relaxed);
        activity.open.fetch_add(1, Relaxed);
        activity.is_http1.store(is_http1, Relaxed);
        Self(activity.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
        self.0.was_read.store(false, Relaxed);
    }
}

/// For how long a connection has been without a request.
#[derive(Default)]
struct Silence {
    lasted: Duration,
    begun: u64,
    /// Whether there was the beginning of a head at the last look and at the one before.
    half_a_head: [bool; 2],
}

impl Silence {
    /// `since` has passed since the last look.
    fn look(&mut self, activity: &Activity, since: Duration) {
        let begun = activity.begun.load(Relaxed);
        let is_busy = begun != self.begun || activity.open.load(Relaxed) > 0;
        self.lasted = if is_busy { Duration::ZERO } else { self.lasted + since };
        self.begun = begun;
        let half = activity.is_http1.load(Relaxed) && activity.was_read.load(Relaxed);
        let [last, _] = self.half_a_head;
        self.half_a_head = [half && !is_busy, last];
    }

    /// Whether it has said nothing yet, or not ended the head that it began. HTTP/2 clients may ping for as long as they
    /// are idle.
    const fn is_rude(&self) -> bool {
        !self.lasted.is_zero() && (self.begun == 0 || matches!(self.half_a_head, [true, true]))
    }
}
