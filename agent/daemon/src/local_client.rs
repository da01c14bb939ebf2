//! Asks the running agent over its socket.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::cli::AgentArgs;
use crate::{agent, config};

/// Longer than any answer takes: a reload reads every file.
const ANSWER_WITHIN: Duration = Duration::from_secs(80);

/// The longest answer that is read: a status with a thousand alerts has less than a megabyte.
const MAX_ANSWER: usize = 16 << 20;

/// A question.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: &'static str,
    pub(crate) path: Cow<'static, str>,
}

/// An answer, which says that the question was understood and allowed.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) body: String,
}

/// Asks the agent that `whom` means.
///
/// # Errors
///
/// No agent answers, or it refuses. Says what to look at.
pub(crate) fn ask(whom: &AgentArgs, question: &Asked) -> anyhow::Result<Answered> {
    let places = places(whom);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream = reach(&places).await?;
        timeout(ANSWER_WITHIN, exchange(stream, question))
            .await
            .with_context(|| format!("no answer within {ANSWER_WITHIN:?}; the agent's log says what hangs"))?
    })
}

/// Where the agent may listen. A configuration with errors must not keep anybody from asking.
fn places(whom: &AgentArgs) -> Vec<PathBuf> {
    if let Some(socket) = &whom.socket {
        return vec![socket.clone()];
    }
    let told = config::where_the_agent_listens(&whom.config);
    if let Some(socket) = told.socket {
        return vec![socket];
    }
    let directory = told.state_directory.clone().or_else(|| agent::default_directory().ok());
    let own = directory.map(|directory| directory.join(agent::API_SOCKET));
    // Under systemd, whose choice of a directory is not known here.
    let systemds = PathBuf::from(agent::SYSTEMS_API_SOCKET);
    if told.state_directory.is_some() && whom.config != Path::new(crate::cli::DEFAULT_CONFIGURATION) {
        own.into_iter().collect()
    } else {
        std::iter::once(systemds).chain(own).collect()
    }
}

async fn reach(places: &[PathBuf]) -> anyhow::Result<UnixStream> {
    let mut denied = None;
    for place in places {
        match UnixStream::connect(place).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => denied = Some(place),
            Err(_) => {}
        }
    }
    if let Some(place) = denied {
        bail!(
            "this user may not reach {}; ask as root or as the agent's user, or let api.socket lie where all can enter",
            place.display()
        );
    }
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    bail!(
        "no agent answers at {}. Is it running (systemctl status hostmend)? If it is, name its configuration with --config \
         or its socket with --socket",
        places.join(" or ")
    )
}

async fn exchange(stream: UnixStream, question: &Asked) -> anyhow::Result<Answered> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.context("speaking to the agent")?;
    // Ends with the exchange; what fails on it fails the request.
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::builder().method(question.method).uri(&*question.path).header("host", "hostmend");
    let response =
        sender.send_request(request.body(Empty::<Bytes>::new())?).await.context("asking the agent")?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error)).context("reading the agent's answer")?;
    let body = String::from_utf8(body.to_bytes().into()).context("reading the agent's answer")?;
    // What the agent could not do as asked (422) is an answer too.
    if status.is_success() || status.as_u16() == 422 {
        return Ok(Answered { body });
    }
    let said: Option<serde_json::Value> = serde_json::from_str(&body).ok();
    let said = said.as_ref().and_then(|said| said.get("error")).and_then(|error| error.as_str());
    bail!("{}", said.unwrap_or(status.as_str()))
}
