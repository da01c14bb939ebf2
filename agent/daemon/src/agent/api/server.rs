//! Takes connections, reads requests within limits, and answers by the table.
//!
//! Any user of the host can connect, so everything that a client can hold is bounded: connections, one user's share of
//! them, headers, the body and the time. A connection serves one request.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::socket_peercred;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Facts;
use super::caller::Caller;
use super::routes::{self, Answer, Reply};

/// Connections at once. People and a monitoring system make a few.
const MAX_CONNECTIONS: usize = 32;

/// Connections at once of one user who is neither root nor the agent's: one user cannot take them all.
const MAX_OF_ONE_USER: usize = 8;

/// Connections at once of all users who are neither: the rest is left to those who can mend something.
const MAX_OF_ALL_OTHERS: usize = 24;

/// How long a client may take for its headers, and again for its body.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// The buffer of a connection, which bounds the headers. The least that hyper allows.
const MAX_HEADERS: usize = 8 * 1024;

/// No route needs a body.
const MAX_BODY: usize = 4 * 1024;

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

/// Serves until `stopped`; what is being answered then is cut off.
pub(super) async fn serve(listeners: Listeners, facts: Arc<Facts>, mut stopped: watch::Receiver<bool>) {
    let seats = Arc::<Seats>::default();
    loop {
        let taken = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            accepted = listeners.callers.accept() => accepted.and_then(|(stream, _)| welcome(stream, &seats, &facts)),
            accepted = watcher(listeners.watchers.as_ref()) => accepted.map(|stream| {
                admit(stream, None, &seats, &facts);
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

fn welcome(stream: UnixStream, seats: &Arc<Seats>, facts: &Arc<Facts>) -> io::Result<()> {
    let caller = Caller::from(socket_peercred(stream.as_fd())?);
    admit(stream, Some(caller), seats, facts);
    Ok(())
}

/// Serves the connection if there is a seat for it; if not, it is closed and counted.
fn admit(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    caller: Option<Caller>,
    seats: &Arc<Seats>,
    facts: &Arc<Facts>,
) {
    let user = caller.map(Caller::uid);
    let (own, all) = if caller.is_some_and(Caller::may_everything) {
        (MAX_CONNECTIONS, MAX_CONNECTIONS)
    } else {
        (MAX_OF_ONE_USER, MAX_OF_ALL_OTHERS)
    };
    let Some(seat) = Seats::take(seats, user, own, all) else {
        facts.shared.turned_away.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let facts = Arc::clone(facts);
    tokio::spawn(async move {
        let _seat = seat;
        let answer = service_fn(|request| answer(request, caller, Arc::clone(&facts)));
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
    facts: Arc<Facts>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let reply = match timeout(REQUEST_WITHIN, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(_)) => {
            let query = parts.uri.query().unwrap_or_default().to_owned();
            dispatch(parts.method.as_str(), parts.uri.path(), query, caller, facts).await
        }
        Ok(Err(_)) => Reply::error(413, &format!("a body of at most {MAX_BODY} bytes is read")),
        Err(_) => Reply::error(408, "the body did not arrive in time"),
    };
    let response = Response::builder().status(reply.status).header(CONTENT_TYPE, reply.content_type);
    Ok(response
        .body(Full::new(Bytes::from(reply.body)))
        .expect("status and content type are constants of the table"))
}

async fn dispatch(
    method: &str,
    path: &str,
    query: String,
    caller: Option<Caller>,
    facts: Arc<Facts>,
) -> Reply {
    let route = match routes::find(method, path, caller.is_none()) {
        Ok(route) => route,
        Err(reply) => return reply,
    };
    let waiting = match route.answer {
        Answer::AtOnce(answer) => return answer(&facts),
        Answer::Waiting(answer) => answer,
    };
    let work = tokio::task::spawn_blocking(move || {
        let allowed = caller.map_or(Ok(()), |caller| caller.may(route.needs, route.summary));
        match allowed {
            Ok(()) => waiting(&facts, &query),
            Err(refusal) => {
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
