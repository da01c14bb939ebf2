//! Sends batches over OTLP/HTTP with protobuf bodies.

use std::io::Write as _;

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use telemetry::{Batch, with_causes};
use tokio::sync::Mutex;

use crate::sender::answer::{Failure, in_time, of_http};
use crate::sender::connection::{HttpClient, LARGEST_ANSWER, USER_AGENT, client};
use crate::sender::destination::{Compression, Destination};
use crate::sender::exporter::{Accepted, BoxFuture, ExportError, Exporter};

pub(crate) struct HttpExporter {
    destination: Destination,
    /// Another one after an attempt without an answer.
    client: Mutex<HttpClient<Full<Bytes>>>,
}

impl HttpExporter {
    pub(crate) fn new(destination: Destination) -> Self {
        Self { client: Mutex::new(client(&destination)), destination }
    }

    fn request(&self, batch: &Batch) -> Request<Full<Bytes>> {
        let mut request = Request::default();
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.destination.uri(Some(batch.signal));
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.extend(self.destination.material.headers.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let body = match self.destination.options.compression {
            Compression::None => batch.payload.clone(),
            Compression::Gzip => {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                gzip(&batch.payload)
            }
        };
        *request.body_mut() = Full::new(body);
        request
    }

    async fn call(&self, batch: &Batch) -> Result<Accepted, Failure> {
        let later =
            |error: &dyn std::error::Error| Failure::Later { retry_after: None, reason: with_causes(error) };
        let client = self.client.lock().await.clone();
        let answer = client.request(self.request(batch)).await.map_err(|error| later(&error))?;
        let (head, body) = answer.into_parts();
        let body = match Limited::new(body, LARGEST_ANSWER).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() && head.status.is_success() => {
                let reason = format!("its answer is larger than {LARGEST_ANSWER} bytes");
                return Err(Failure::Never { reason });
            }
            Err(error) if error.is::<LengthLimitError>() => Bytes::new(),
            Err(error) => return Err(later(error.as_ref())),
        };
        of_http(head.status, &head.headers, &body)
    }
}

impl Exporter for HttpExporter {
    fn name(&self) -> &str {
        self.destination.name()
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Accepted, ExportError>> {
        Box::pin(async move {
            let timeout = self.destination.options.timeout;
            let result = in_time(timeout, self.call(batch)).await;
            if matches!(result, Err(Failure::Silence { .. })) {
                *self.client.lock().await = client(&self.destination);
            }
            result.map_err(|failure| failure.of(self.destination.name()))
        })
    }
}

/// The fastest level: telemetry repeats itself so much that the higher ones gain a few percent for twice the time.
fn gzip(payload: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(payload.len() / 4), flate2::Compression::fast());
    encoder.write_all(payload).expect("a Vec takes every byte");
    Bytes::from(encoder.finish().expect("a Vec takes every byte"))
}
