//! One attempt to send a batch, in whatever protocol the destination speaks.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use telemetry::Batch;

use crate::sender::answer::{Failure, in_time};
use crate::sender::body::{body_of, encoding};
use crate::sender::connection::{Connections, Link, USER_AGENT};
use crate::sender::destination::{Destination, Protocol, Temporality};
use crate::sender::exporter::{Accepted, BoxFuture, ExportError, Exporter};
use crate::sender::{grpc, http as otlp_http};

pub(crate) struct Attempts {
    destination: Destination,
    connections: Arc<Connections>,
}

impl Attempts {
    pub(crate) fn new(destination: Destination) -> Self {
        Self { connections: Connections::new(destination.clone()), destination }
    }

    async fn export(&self, batch: &Batch) -> Result<Accepted, Failure> {
        let options = &self.destination.options;
        let body = body_of(batch, &self.destination).await?;
        // The time limit is around all that may hang.
        let mut used = None;
        let attempt = async {
            let link = used.insert(self.connections.link().await);
            self.exchange(link, batch, body).await
        };
        let result = in_time(options.timeout, attempt).await;
        let Some(used) = used else { return result };
        match result {
            Err(Failure::Silence { .. }) => {
                self.connections.give_up(&used);
                result
            }
            // Perhaps because of a credential that has just been replaced.
            Err(Failure::Never { reason } | Failure::Unwelcome { reason })
                if self.connections.has_news(&used).await =>
            {
                Err(Failure::Later { retry_after: None, reason })
            }
            _ => result,
        }
    }

    async fn exchange(&self, link: &Link, batch: &Batch, body: Bytes) -> Result<Accepted, Failure> {
        let options = &self.destination.options;
        let encoding = encoding(options.compression);
        let is_grpc = options.protocol == Protocol::Grpc;
        let (uri, headers, body) = if is_grpc {
            grpc::request(&self.destination, batch.signal, body, encoding)
        } else {
            otlp_http::request(&self.destination, batch.signal, body, encoding)
        };
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        request.headers_mut().extend(link.material.headers.clone());
        request.headers_mut().extend(headers);
        if self.destination.is_forwarded()
            && let Some(authorization) = link.material.proxy.as_ref().and_then(|proxy| proxy.authorization())
        {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        let limit = options.max_response_bytes;
        if is_grpc {
            let answer = link.exchange(request, limit.saturating_add(grpc::FRAME)).await?;
            grpc::outcome(&answer, limit)
        } else {
            otlp_http::outcome(&link.exchange(request, limit).await?, limit)
        }
    }
}

impl Exporter for Attempts {
    fn name(&self) -> &str {
        self.destination.name()
    }

    fn wants_deltas(&self) -> bool {
        self.destination.options.temporality == Temporality::Delta
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Accepted, ExportError>> {
        Box::pin(
            async move { self.export(batch).await.map_err(|failure| failure.of(self.destination.name())) },
        )
    }
}

#[cfg(test)]
mod tests;
