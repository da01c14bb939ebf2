//! Takes connections, reads requests within limits, and answers by the table.
//!
//! Any user of the host can connect, so everything that a client can hold is bounded: connections, one user's share of
//! them, headers, the body and the time. A connection serves one request.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::socket_peercred;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::Facts;
use super::caller::Caller;
use super::host_header::may_be_meant;
use super::prometheus::{Question, refuse_turn};
use super::routes::{self, Answer, Reply};

/// Connections at once. People and a monitoring system make a few.
const MAX_CONNECTIONS: usize = 32;

/// Connections at once of one user who is neither root nor the agent's: one user cannot take them all.
const MAX_OF_ONE_USER: usize = 8;

/// Connections at once at `api.listen`, where nobody knows who calls: a page of a dashboard asks many things at once.
const MAX_OF_WATCHERS: usize = 16;

/// Connections at once of all users who are neither: the rest is left to those who can mend something.
const MAX_OF_ALL_OTHERS: usize = 24;

/// How long a client may take for its headers, and again for its body.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// The buffer of a connection, which bounds the headers. The least that hyper allows.
const MAX_HEADERS: usize = 8 * 1024;

/// The longest body: a form with an expression as long as the parser reads.
const MAX_BODY: usize = 64 * 1024;

/// How many may read series at once; others wait. Fewer than there are threads, so that the status is answered beside
/// them.
const MAX_READING: usize = 2;

/// How long others wait for that before they are refused.
const TURN_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection may last in all: longer than a reload may take.
const CONNECTION_WITHIN: Duration = Duration::from_secs(90);

/// How long an answer may take that waits for others.
const ANSWER_WITHIN: Duration = Duration::from_secs(75);

/// After an accept that failed, as without a free descriptor.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Where it is listened.
pub(super) struct Listeners {
    callers: UnixListener,
    watchers: Option<TcpListener>,
}

impl Listeners {
    pub(super) fn new(
        callers: std::os::unix::net::UnixListener,
        watchers: Option<std::net::TcpListener>,
    ) -> io::Result<Self> {
        let watchers = watchers.map(TcpListener::from_std).transpose()?;
        Ok(Self { callers: UnixListener::from_std(callers)?, watchers })
    }
}

/// What connections share.
struct Room {
    facts: Arc<Facts>,
    seats: Arc<Seats>,
    reading: Arc<Semaphore>,
}

/// Serves until `stopped`; what is being answered then is cut off.
pub(super) async fn serve(listeners: Listeners, facts: Arc<Facts>, mut stopped: watch::Receiver<bool>) {
    let room =
        Arc::new(Room { facts, seats: Arc::default(), reading: Arc::new(Semaphore::new(MAX_READING)) });
    loop {
        let taken = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            accepted = listeners.callers.accept() => accepted.and_then(|(stream, _)| welcome(stream, &room)),
            accepted = watcher(listeners.watchers.as_ref()) => accepted.map(|stream| {
                admit(stream, None, &room);
            }),
        };
        if let Err(error) = taken {
            tracing::debug!(%error, "accepting a connection to the API");
            sleep(ACCEPT_AGAIN).await;
        }
    }
}

async fn watcher(listener: Option<&TcpListener>) -> io::Result<tokio::net::TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

fn welcome(stream: UnixStream, room: &Arc<Room>) -> io::Result<()> {
    let caller = Caller::from(socket_peercred(stream.as_fd())?);
    admit(stream, Some(caller), room);
    Ok(())
}

/// Serves the connection if there is a seat for it; if not, it is closed and counted.
fn admit(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    caller: Option<Caller>,
    room: &Arc<Room>,
) {
    let user = caller.map(Caller::uid);
    let (own, all) = if caller.is_some_and(Caller::may_everything) {
        (MAX_CONNECTIONS, MAX_CONNECTIONS)
    } else if caller.is_none() {
        (MAX_OF_WATCHERS, MAX_OF_ALL_OTHERS)
    } else {
        (MAX_OF_ONE_USER, MAX_OF_ALL_OTHERS)
    };
    let Some(seat) = Seats::take(&room.seats, user, own, all) else {
        room.facts.shared.turned_away.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let room = Arc::clone(room);
    tokio::spawn(async move {
        let _seat = seat;
        let answer = service_fn(|request| answer(request, caller, &room));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_WITHIN)
            .max_buf_size(MAX_HEADERS)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), answer);
        // A client that breaks off or speaks no HTTP gets no line in the log: any user could fill it.
        let _ = timeout(CONNECTION_WITHIN, connection).await;
    });
}

async fn answer(
    request: Request<Incoming>,
    caller: Option<Caller>,
    room: &Room,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let reply = match timeout(REQUEST_WITHIN, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(_)) if caller.is_none() && !may_be_meant(text(&parts.headers, HOST)) => {
            Reply::error(403, "ask by a loopback name or an address; other names may be anybody's")
        }
        Ok(Ok(body)) => {
            let question = Question {
                query: parts.uri.query().unwrap_or_default().to_owned(),
                content_type: text(&parts.headers, CONTENT_TYPE).unwrap_or_default().to_owned(),
                body: body.to_bytes(),
                ..Question::default()
            };
            dispatch(parts.method.as_str(), parts.uri.path(), question, caller, room).await
        }
        Ok(Err(_)) => Reply::error(413, &format!("a body of at most {MAX_BODY} bytes is read")),
        Err(_) => Reply::error(408, "the body did not arrive in time"),
    };
    let response = Response::builder().status(reply.status).header(CONTENT_TYPE, reply.content_type);
    Ok(response.body(Full::new(reply.body)).expect("status and content type are constants of the table"))
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    // A value that is no text is none of those that are looked for.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

async fn dispatch(
    method: &str,
    path: &str,
    mut question: Question,
    caller: Option<Caller>,
    room: &Room,
) -> Reply {
    let (route, name) = match routes::find(method, path, caller.is_none()) {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    name.clone_into(&mut question.name);
    let facts = Arc::clone(&room.facts);
    let turn = match route.answer {
        Answer::AtOnce(answer) => return answer(&facts),
        Answer::Waiting(_) | Answer::Acting(_) => None,
        Answer::Reading(_) => match turn(room).await {
            Some(turn) => Some(turn),
            None => return refuse_turn(&facts),
        },
    };
    let _waits = Waits(Arc::clone(&question.nobody_waits));
    let work = tokio::task::spawn_blocking(move || {
        // Given back when the work is done, even if nobody waits for it any more.
        let _turn = turn;
        let allowed = caller.map_or(Ok(()), |caller| caller.may(route.needs, route.summary));
        match (allowed, route.answer) {
            (Ok(()), Answer::Waiting(answer)) => answer(&facts, &question.query),
            (Ok(()), Answer::Reading(answer)) => answer(&facts, &question),
            (Ok(()), Answer::Acting(answer)) => {
                let by = caller.map_or_else(|| "nobody knows who".to_owned(), Caller::name);
                answer(&facts, &question.query, &by)
            }
            (Ok(()), Answer::AtOnce(answer)) => answer(&facts),
            (Err(refusal), _) => {
                facts.shared.turned_away.fetch_add(1, Ordering::Relaxed);
                Reply::error(403, &refusal)
            }
        }
    });
    match timeout(ANSWER_WITHIN, work).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) => Reply::error(500, "finding the answer failed; the log says more"),
        Err(_) => Reply::error(503, "a part of the agent hangs; /healthz says which"),
    }
}

async fn turn(room: &Room) -> Option<OwnedSemaphorePermit> {
    timeout(TURN_WITHIN, Arc::clone(&room.reading).acquire_owned()).await.ok()?.ok()
}

/// Says when it is dropped that nobody waits for the answer: it is there, or the client has gone.
struct Waits(Arc<AtomicBool>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Who holds a connection: users by number, and watchers together as nobody.
#[derive(Debug, Default)]
struct Seats(Mutex<BTreeMap<Option<u32>, usize>>);

impl Seats {
    /// Unless the user has `own_most` already, or everybody together `all_most`.
    fn take(this: &Arc<Self>, user: Option<u32>, own_most: usize, all_most: usize) -> Option<Seat> {
        let mut taken = this.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.get(&user).copied().unwrap_or(0);
        if all >= all_most || own >= own_most {
            return None;
        }
        taken.insert(user, own + 1);
        Some(Seat { seats: Arc::clone(this), user })
    }
}

/// One connection's, given back when dropped.
struct Seat {
    seats: Arc<Seats>,
    user: Option<u32>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_one_user_nor_all_ordinary_ones_together_can_take_the_seats_of_root() {
        let seats = Arc::<Seats>::default();
        let ordinary = |user| Seats::take(&seats, Some(user), MAX_OF_ONE_USER, MAX_OF_ALL_OTHERS);
        let mut held: Vec<Seat> = std::iter::from_fn(|| ordinary(1_000)).collect();
        assert_eq!(held.len(), MAX_OF_ONE_USER);
        held.extend((1_001..1_100).filter_map(ordinary));
        assert_eq!(held.len(), MAX_OF_ALL_OTHERS);
        let root = || Seats::take(&seats, Some(0), MAX_CONNECTIONS, MAX_CONNECTIONS);
        held.extend(std::iter::from_fn(root));
        assert_eq!(held.len(), MAX_CONNECTIONS);
        held.drain(..10);
        assert!(ordinary(1_100).is_some());
        drop(held);
        assert!(seats.0.lock().unwrap().is_empty(), "nothing is remembered of who has gone");
    }
}
