//! Takes encoded requests from the SDK and gives them to the sender.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use otlp::Sender;
use telemetry::{Batch, Signal};

use super::share::Shares;
use crate::clock;

/// The exporter's HTTP client. Never fails, for the exporter would wait and try again: what is not taken is counted.
#[derive(Debug)]
pub(super) struct Handover {
    pub(super) signal: Signal,
    pub(super) sender: Arc<Sender>,
    pub(super) shares: Arc<Shares>,
}

#[async_trait::async_trait]
impl HttpClient for Handover {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let payload = request.into_body();
        let items = otlp::count_items(self.signal, &payload).expect("the SDK writes OTLP");
        let now = clock::now();
        if self.shares.admit(self.signal, payload.len() as u64, items, now) {
            self.sender.offer(&Batch { signal: self.signal, payload, items }, now);
        }
        Ok(Response::new(Bytes::new()))
    }
}
