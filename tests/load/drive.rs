//! Sends load: so many connections, so many streams on each, flat out or at a rate.
//!
//! A batch whose answer is lost is not sent again: what arrives twice was then sent twice by the agent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::client::{Answer, Client, Protocol};
use crate::numbers::number;
use crate::template::Template;

/// What is sent, and how.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where to.
    pub address: SocketAddr,
    /// How.
    pub protocol: Protocol,
    /// Connections.
    pub connections: u32,
    /// Streams on each connection: so many requests are under way at once.
    pub streams: u32,
    /// What each request holds.
    pub template: Template,
    /// Requests of each stream.
    pub requests: u64,
    /// The least time between two requests of a stream; zero is flat out.
    pub every: Duration,
    /// Ends the load early.
    pub stop: Arc<AtomicBool>,
}

impl Load {
    /// One stream on one connection, flat out.
    pub fn new(address: SocketAddr, protocol: Protocol, template: Template, requests: u64) -> Self {
        let (every, stop) = (Duration::ZERO, Arc::default());
        Self { address, protocol, connections: 1, streams: 1, template, requests, every, stop }
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Taken.
    Accepted,
    /// Not taken.
    Refused,
    /// No answer.
    Unknown,
}

/// One request that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// The number of its first item.
    pub first: u64,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a load.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Every request, in the order of each stream.
    pub batches: Vec<Batch>,
    /// What the refusals said, without repetitions.
    pub said: Vec<String>,
    /// The time that each answer took.
    pub took: Vec<Duration>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

impl Outcome {
    /// How many requests came to this.
    pub fn count(&self, fate: Fate) -> u64 {
        self.batches.iter().filter(|batch| batch.fate == fate).count() as u64
    }

    /// How long the answer took that so large a part of all did not exceed.
    pub fn quantile(&self, part: f64) -> Duration {
        let mut took = self.took.clone();
        took.sort();
        let at = (took.len().saturating_sub(1) as f64 * part) as usize;
        took.get(at).copied().unwrap_or_default()
    }

    fn note(&mut self, first: u64, answer: Answer, took: Duration) {
        let (fate, said) = match answer {
            Answer::Accepted => (Fate::Accepted, None),
            Answer::Refused(said) => (Fate::Refused, Some(said)),
            Answer::Unknown(said) => (Fate::Unknown, Some(said)),
        };
        self.batches.push(Batch { first, fate });
        self.took.push(took);
        if let Some(said) = said
            && !self.said.contains(&said)
            && self.said.len() < 20
        {
            self.said.push(said);
        }
    }

    fn add(&mut self, other: Self) {
        self.batches.extend(other.batches);
        self.took.extend(other.took);
        let new: Vec<_> = other.said.into_iter().filter(|said| !self.said.contains(said)).collect();
        self.said.extend(new);
    }
}

/// After a refusal or a lost connection.
const PAUSE: Duration = Duration::from_millis(20);

/// Sends a load to its end, on one thread. Streams have numbers of their own in the whole process.
///
/// # Panics
///
/// When the system gives no event queue.
pub fn drive(load: &Load) -> Outcome {
    static STREAMS: AtomicU32 = AtomicU32::new(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an event queue");
    let outcome = Arc::<Mutex<Outcome>>::default();
    let began = Instant::now();
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..load.connections {
            let shared = Arc::<tokio::sync::Mutex<Option<Client>>>::default();
            for _ in 0..load.streams {
                let stream = STREAMS.fetch_add(1, Ordering::Relaxed);
                let (load, shared, outcome) = (load.clone(), Arc::clone(&shared), Arc::clone(&outcome));
                tasks.spawn(async move {
                    let own = send_stream(&load, stream, &shared).await;
                    outcome.lock().unwrap_or_else(PoisonError::into_inner).add(own);
                });
            }
        }
        tasks.join_all().await;
    });
    let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).clone();
    outcome.elapsed = began.elapsed();
    outcome
}

async fn send_stream(load: &Load, stream: u32, shared: &tokio::sync::Mutex<Option<Client>>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut ticks = interval(load.every.max(Duration::from_nanos(1)));
    for at in 0..load.requests {
        if !load.every.is_zero() {
            ticks.tick().await;
        }
        let Some(client) = connected(load, shared).await else { break };
        let first = number(stream, at * load.template.items());
        let asked = Instant::now();
        let answer = client.send(load.template.signal(), load.template.numbered(first)).await;
        let is_broken = matches!(answer, Answer::Unknown(_));
        let is_refused = matches!(answer, Answer::Refused(_));
        outcome.note(first, answer, asked.elapsed());
        if is_broken {
            shared.lock().await.take();
        }
        if is_broken || is_refused {
            sleep(PAUSE).await;
        }
        if load.stop.load(Ordering::Relaxed) {
            break;
        }
    }
    outcome
}

/// The connection, made anew where there is none; tried until the load is stopped.
async fn connected(load: &Load, shared: &tokio::sync::Mutex<Option<Client>>) -> Option<Client> {
    let mut held = shared.lock().await;
    while held.is_none() && !load.stop.load(Ordering::Relaxed) {
        match Client::connect(load.address, load.protocol).await {
            Ok(client) => *held = Some(client),
            Err(_) => sleep(PAUSE).await,
        }
    }
    held.clone()
}
