//! A destination that counts by number what arrives, and can be told to behave badly.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::sync::oneshot;

use crate::drive::{Fate, Outcome};
use crate::numbers::{Signal, numbers, stream_and_place};

/// How it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// Takes everything.
    #[default]
    Well,
    /// UNAVAILABLE over gRPC, 503 over HTTP.
    Unavailable,
    /// Takes the request, and is so long about the answer.
    Slow(Duration),
}

/// Items of a stream. What has a higher number was not numbered by the load.
const LONGEST: usize = 1 << 28;

/// What arrived of one stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// How often each item arrived, by its place.
    pub times: Vec<u8>,
    /// Items that arrived for the first time after one that was sent later.
    pub late: u64,
}

/// What arrived.
#[derive(Clone, Debug, Default)]
pub struct Arrived {
    /// By signal and number of the stream.
    pub streams: BTreeMap<(Signal, u32), Stream>,
    /// Requests that were taken.
    pub requests: u64,
    /// The most items of the load in one of them.
    pub largest: u64,
    /// The most requests that were under way at once.
    pub at_once: u64,
}

impl Arrived {
    /// How many different items of a signal arrived.
    pub fn items(&self, signal: Signal) -> u64 {
        let times = self.of(signal).flat_map(|stream| &stream.times);
        times.filter(|times| **times > 0).count() as u64
    }

    /// How many items of a signal arrived again, counted as often as they did.
    pub fn duplicates(&self, signal: Signal) -> u64 {
        let times = self.of(signal).flat_map(|stream| &stream.times);
        times.map(|times| u64::from(times.saturating_sub(1))).sum()
    }

    /// How many items of a signal came out of order.
    pub fn late(&self, signal: Signal) -> u64 {
        self.of(signal).map(|stream| stream.late).sum()
    }

    /// How many items of this outcome were accepted and did not arrive.
    pub fn missing(&self, signal: Signal, items: u64, outcome: &Outcome) -> u64 {
        let accepted = outcome.batches.iter().filter(|batch| batch.fate == Fate::Accepted);
        let numbers = accepted.flat_map(|batch| batch.first..batch.first + items);
        numbers.filter(|number| !self.has(signal, *number)).count() as u64
    }

    /// Adds what a request of these bytes holds.
    fn take(&mut self, signal: Signal, request: &[u8]) {
        let numbers = numbers(signal, request);
        self.largest = self.largest.max(numbers.len() as u64);
        for number in numbers {
            self.note(signal, number);
        }
        self.requests += 1;
    }

    /// Adds one item.
    pub fn note(&mut self, signal: Signal, number: u64) {
        let Some((stream, place)) = stream_and_place(number) else { return };
        let Some(place) = usize::try_from(place).ok().filter(|place| *place < LONGEST) else { return };
        let stream = self.streams.entry((signal, stream)).or_default();
        if stream.times.len() <= place {
            stream.times.resize(place + 1, 0);
        } else if stream.times.get(place) == Some(&0) {
            stream.late += 1;
        }
        if let Some(times) = stream.times.get_mut(place) {
            *times = times.saturating_add(1);
        }
    }

    fn of(&self, signal: Signal) -> impl Iterator<Item = &Stream> {
        self.streams.iter().filter(move |((of, _), _)| *of == signal).map(|(_, stream)| stream)
    }

    fn has(&self, signal: Signal, number: u64) -> bool {
        let found = stream_and_place(number).and_then(|(stream, place)| {
            self.streams.get(&(signal, stream))?.times.get(usize::try_from(place).ok()?)
        });
        found.is_some_and(|times| *times > 0)
    }
}

/// Is given each request that arrives, not compressed.
pub type Watcher = Box<dyn Fn(Signal, &[u8]) + Send + Sync>;

#[derive(Default)]
struct State {
    watcher: Option<Watcher>,
    arrived: Mutex<Arrived>,
    mood: Mutex<Mood>,
    kept: Mutex<Option<Vec<(Signal, Bytes)>>>,
    under_way: Mutex<u64>,
}

/// A server on a thread of its own, until it is dropped.
pub struct Sink {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Listens on the loopback; port 0 picks one.
    ///
    /// # Errors
    ///
    /// The port is taken, or the system gives no thread.
    pub fn listen(port: u16) -> std::io::Result<Self> {
        Self::serve(port, State::default())
    }

    /// The same, but takes requests compressed with zstd as well, counts nothing and shows each to `watcher`.
    ///
    /// # Errors
    ///
    /// As for [`Sink::listen`].
    pub fn watch(watcher: Watcher) -> std::io::Result<Self> {
        Self::serve(0, State { watcher: Some(watcher), ..State::default() })
    }

    fn serve(port: u16, state: State) -> std::io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let state = Arc::new(state);
        let serving = Arc::clone(&state);
        let thread = std::thread::Builder::new().name("sink".to_owned()).spawn(move || {
            runtime.block_on(async {
                let listener =
                    tokio::net::TcpListener::from_std(listener).expect("a listener that does not block");
                tokio::select! {
                    () = accept(listener, serving) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, state, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how it answers.
    pub fn become_of(&self, mood: Mood) {
        *lock(&self.state.mood) = mood;
    }

    /// Keeps the requests that arrive from now on, and gives those that were kept so far.
    pub fn keep(&self) -> Vec<(Signal, Bytes)> {
        lock(&self.state.kept).replace(Vec::new()).unwrap_or_default()
    }

    /// The requests that were kept so far.
    pub fn kept(&self) -> Vec<(Signal, Bytes)> {
        lock(&self.state.kept).clone().unwrap_or_default()
    }

    /// What arrived so far.
    pub fn arrived(&self) -> Arrived {
        lock(&self.state.arrived).clone()
    }

    /// How many different items of a signal arrived so far.
    pub fn items(&self, signal: Signal) -> u64 {
        lock(&self.state.arrived).items(signal)
    }

    /// Forgets what arrived so far.
    pub fn forget(&self) {
        *lock(&self.state.arrived) = Arrived::default();
    }
}

/// Cuts off what is under way.
impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed.
            let _ = thread.join();
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As in the client.
const WINDOW: u32 = 8 << 20;

async fn accept(listener: tokio::net::TcpListener, state: Arc<State>) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http2().initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    while let Ok((stream, _)) = listener.accept().await {
        let (server, state) = (server.clone(), Arc::clone(&state));
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(answer(&state, request).await) }
            });
            // How a connection ends is the other side's affair.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A request, until it is answered or its connection is gone.
struct UnderWay<'a>(&'a State);

impl<'a> UnderWay<'a> {
    fn begin(state: &'a State) -> Self {
        let mut under_way = lock(&state.under_way);
        *under_way += 1;
        let mut arrived = lock(&state.arrived);
        arrived.at_once = arrived.at_once.max(*under_way);
        Self(state)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *lock(&self.0.under_way) -= 1;
    }
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn answer(state: &State, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let over_grpc = Signal::ALL.into_iter().find(|signal| signal.method() == path);
    let over_http = Signal::ALL.into_iter().find(|signal| signal.path() == path);
    let Some(signal) = over_grpc.or(over_http) else { return over(StatusCode::NOT_FOUND) };
    let is_grpc = over_grpc.is_some();
    let encoding = if is_grpc { "grpc-encoding" } else { "content-encoding" };
    let encoding = request.headers().get(encoding).map(|encoding| encoding.as_bytes().to_vec());
    let is_zstd = state.watcher.is_some() && encoding.as_deref() == Some(b"zstd");
    if !is_zstd && encoding.is_some_and(|encoding| encoding != b"identity") {
        return if is_grpc { grpc("12") } else { over(StatusCode::UNSUPPORTED_MEDIA_TYPE) };
    }
    let _under_way = UnderWay::begin(state);
    let body = request.into_body().collect().await;
    let mood = *lock(&state.mood);
    if let Ok(body) = body
        && mood != Mood::Unavailable
    {
        let body = body.to_bytes();
        let message = body.slice(if is_grpc { 5.min(body.len()) } else { 0 }..);
        match &state.watcher {
            // A small message may be left as it is: the first byte over gRPC says which.
            Some(watcher) if is_zstd && (!is_grpc || body.first() == Some(&1)) => {
                let Ok(message) = zstd::decode_all(&message[..]) else {
                    return over(StatusCode::BAD_REQUEST);
                };
                watcher(signal, &message);
            }
            Some(watcher) => watcher(signal, &message),
            None => lock(&state.arrived).take(signal, &message),
        }
        if let Some(kept) = lock(&state.kept).as_mut() {
            kept.push((signal, message));
        }
    }
    if let Mood::Slow(long) = mood {
        tokio::time::sleep(long).await;
    }
    match (mood, is_grpc) {
        (Mood::Unavailable, true) => grpc("14"),
        (Mood::Unavailable, false) => over(StatusCode::SERVICE_UNAVAILABLE),
        (_, true) => grpc("0"),
        (_, false) => over(StatusCode::OK),
    }
}

fn over(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::default().boxed());
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/x-protobuf"));
    response
}

fn grpc(status: &'static str) -> Response<Body> {
    let message = if status == "0" { Bytes::from_static(&[0; 5]) } else { Bytes::new() };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let body = Full::new(message).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
