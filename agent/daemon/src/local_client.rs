//! Asks the running agent over its socket.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
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
    ask_with(whom, question, &[])
}

/// Asks with parameters, which go as a form.
///
/// # Errors
///
/// As of [`ask`].
pub(crate) fn ask_with(
    whom: &AgentArgs,
    question: &Asked,
    parameters: &[(&str, &str)],
) -> anyhow::Result<Answered> {
    let encoded = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value)));
    let form = encoded.collect::<Vec<_>>().join("&");
    let body = exchanged(whom, question, form, MAX_ANSWER)?;
    Ok(Answered { body: String::from_utf8(body.into()).context("reading the agent's answer")? })
}

/// Asks for what need not be text, of `limit` bytes at most.
///
/// # Errors
///
/// As of [`ask`].
pub(crate) fn fetch(whom: &AgentArgs, question: &Asked, limit: usize) -> anyhow::Result<Bytes> {
    exchanged(whom, question, String::new(), limit)
}

fn exchanged(whom: &AgentArgs, question: &Asked, form: String, limit: usize) -> anyhow::Result<Bytes> {
    let places = places(whom);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream = reach(&places).await?;
        timeout(ANSWER_WITHIN, exchange(stream, question, form, limit))
            .await
            .with_context(|| format!("no answer within {ANSWER_WITHIN:?}; the agent's log says what hangs"))?
    })
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// `name=value`, as it stands behind `?`.
pub(crate) fn parameter(name: &str, value: &str) -> String {
    format!("{name}={}", encode(value))
}

/// Who sits there, also behind sudo.
pub(crate) fn this_user() -> String {
    let behind = std::env::var("SUDO_USER").ok();
    let own = || nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    behind.or_else(own).unwrap_or_else(|| "somebody".to_owned())
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

async fn exchange(stream: UnixStream, question: &Asked, form: String, limit: usize) -> anyhow::Result<Bytes> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.context("speaking to the agent")?;
    // Ends with the exchange; what fails on it fails the request.
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::builder().method(question.method).uri(&*question.path).header("host", "hostmend");
    let request = if form.is_empty() {
        request
    } else {
        request.header(CONTENT_TYPE, "application/x-www-form-urlencoded")
    };
    let request = request.body(Full::new(Bytes::from(form)))?;
    let response = sender.send_request(request).await.context("asking the agent")?;
    let status = response.status();
    let body = Limited::new(response.into_body(), limit).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error)).context("reading the agent's answer")?;
    let body = body.to_bytes();
    // What the agent could not do as asked (422) is an answer too.
    if status.is_success() || status.as_u16() == 422 {
        return Ok(body);
    }
    let said: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let said = said.as_ref().and_then(|said| said.get("error")).and_then(|error| error.as_str());
    bail!("{}", said.unwrap_or(status.as_str()))
}
