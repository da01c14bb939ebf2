//! Connections to a destination, kept open, opened again as needed, and renewed when the files behind them change.
//!
//! Files are looked at when there is something to send and the last look is a while ago, on a thread of their own: a
//! disk that hangs holds up one attempt and no more. Files that are no good are told of once; what they said before
//! serves on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use bytes::buf::Chain;
use http::uri::Authority;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use telemetry::with_causes;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::sender::answer::Failure;
use crate::sender::body::Unreadable;
use crate::sender::connector::{Connector, Lookup};
use crate::sender::destination::{Destination, Protocol};
use crate::sender::material::{Files, Material};

/// In two pieces, so that what comes before the payload needs no copy of it.
pub(crate) type RequestBody = Full<Chain<Bytes, Bytes>>;

/// Idle connections are closed before middleboxes forget them.
const IDLE: Duration = Duration::from_mins(1);

/// A third of the time within which changed files must be in use.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A disk that takes longer is not waited for.
const LOOK_WITHIN: Duration = Duration::from_secs(1);

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// As long as it is not above the limit.
    pub(crate) body: Result<Bytes, Unreadable>,
    pub(crate) trailers: HeaderMap,
}

/// Connections of one kind: with the same certificates and through the same proxy.
#[derive(Clone)]
pub(crate) struct Link {
    client: Client<Connector, RequestBody>,
    pub(crate) material: Arc<Material>,
    /// Counts up with each renewal.
    number: u64,
}

impl Link {
    /// Sends `request` and reads the answer, of at most `limit` bytes.
    pub(crate) async fn exchange(
        &self,
        request: Request<RequestBody>,
        limit: usize,
    ) -> Result<Answer, Failure> {
        let later =
            |error: &dyn std::error::Error| Failure::Later { retry_after: None, reason: with_causes(error) };
        let place = request.uri().authority().cloned();
        let unreached = |error: &dyn std::error::Error| Failure::Later {
            retry_after: None,
            reason: format!("{}: {}", place.as_ref().map_or("", Authority::as_str), with_causes(error)),
        };
        let (head, body) =
            self.client.request(request).await.map_err(|error| unreached(&error))?.into_parts();
        let (body, trailers) = match Limited::new(body, limit).collect().await {
            Ok(body) => {
                let trailers = body.trailers().cloned().unwrap_or_default();
                (Ok(body.to_bytes()), trailers)
            }
            Err(error) if error.is::<LengthLimitError>() => (Err(Unreadable::TooLarge), HeaderMap::new()),
            Err(error) => return Err(later(error.as_ref())),
        };
        Ok(Answer { status: head.status, headers: head.headers, body, trailers })
    }
}

pub(crate) struct Connections {
    destination: Destination,
    lookup: Lookup,
    state: Mutex<State>,
    /// Whose turn it is to look at the files.
    look: Arc<Semaphore>,
}

struct State {
    link: Link,
    looked: Instant,
    /// Files that were found to be of no use, as they were.
    refused: Option<Files>,
}

impl Connections {
    /// No connection is made yet.
    pub(crate) fn new(destination: Destination) -> Arc<Self> {
        let lookup = Lookup::system();
        let material = Arc::clone(&destination.material);
        let link = Link { client: client(&destination, &material, &lookup), material, number: 0 };
        let state = State { link, looked: Instant::now(), refused: None };
        Arc::new(Self { destination, lookup, state: Mutex::new(state), look: Arc::new(Semaphore::new(1)) })
    }

    /// The connections to use now.
    pub(crate) async fn link(self: &Arc<Self>) -> Link {
        if self.state().looked.elapsed() >= LOOK_EVERY {
            self.look().await;
        }
        self.state().link.clone()
    }

    /// Looks at the files, and says whether connections other than `used` are in use after that.
    pub(crate) async fn has_news(self: &Arc<Self>, used: &Link) -> bool {
        self.look().await;
        self.state().link.number != used.number
    }

    /// Gives up the connections of `used`, as one of them may be dead without anyone having said so.
    pub(crate) fn give_up(&self, used: &Link) {
        let mut state = self.state();
        if state.link.number == used.number {
            self.renew(&mut state, Arc::clone(&used.material));
        }
    }

    async fn look(self: &Arc<Self>) {
        let material = {
            let mut state = self.state();
            state.looked = Instant::now();
            Arc::clone(&state.link.material)
        };
        if material.files.is_empty() {
            return;
        }
        // A look that hangs is left to itself.
        let Ok(turn) = Arc::clone(&self.look).try_acquire_owned() else { return };
        let connections = Arc::clone(self);
        let looking = spawn_blocking(move || {
            connections.read_anew(&material);
            drop(turn);
        });
        let _ = timeout(LOOK_WITHIN, looking).await;
    }

    fn read_anew(&self, used: &Material) {
        let files = Material::files_now(&used.files);
        if files == used.files || self.state().refused.as_ref() == Some(&files) {
            return;
        }
        let destination = self.destination.name();
        match Material::read(&self.destination.options, used.with_tls) {
            Ok(material) => {
                info!(destination, "files with certificates or credentials have changed and are in use");
                let mut state = self.state();
                state.refused = None;
                self.renew(&mut state, Arc::new(material));
            }
            Err(error) => {
                let text = with_causes(&error);
                warn!(
                    destination,
                    "files have changed and are of no use; what they said before serves on: {text}"
                );
                self.state().refused = Some(files);
            }
        }
    }

    /// Connections that are in use serve until their requests are answered.
    fn renew(&self, state: &mut State, material: Arc<Material>) {
        let client = client(&self.destination, &material, &self.lookup);
        state.link = Link { client, material, number: state.link.number + 1 };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client(destination: &Destination, material: &Material, lookup: &Lookup) -> Client<Connector, RequestBody> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http2_only(destination.options.protocol == Protocol::Grpc)
        .build(Connector::new(destination, material, lookup.clone()))
}

/// As the OTLP specification asks of exporters.
pub(crate) const USER_AGENT: &str =
    concat!("hostmend/", env!("CARGO_PKG_VERSION"), " OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));
