//! Sends batches over OTLP/gRPC.

use http::{HeaderValue, header};
use telemetry::Batch;
use tokio::sync::Mutex;
use tonic::Request;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;

use crate::codec::{RawCodec, grpc_path_and_query};
use crate::sender::answer::{Failure, accepted, in_time, of_grpc};
use crate::sender::connection::{HttpClient, LARGEST_ANSWER, USER_AGENT, client};
use crate::sender::destination::{Compression, Destination};
use crate::sender::exporter::{Accepted, BoxFuture, ExportError, Exporter};

pub(crate) struct GrpcExporter {
    destination: Destination,
    /// Another one after an attempt without an answer.
    service: Mutex<Grpc<HttpClient<Body>>>,
}

impl GrpcExporter {
    pub(crate) fn new(destination: Destination) -> Self {
        Self { service: Mutex::new(service(&destination)), destination }
    }

    async fn call(&self, batch: &Batch) -> Result<Accepted, Failure> {
        let mut headers = self.destination.material.headers.clone();
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
        let mut request = Request::new(batch.payload.clone());
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        let mut service = self.service.lock().await.clone();
        let answer = service.unary(request, grpc_path_and_query(batch.signal), RawCodec).await;
        answer.map(|response| accepted(response.get_ref())).map_err(|status| of_grpc(&status))
    }
}

impl Exporter for GrpcExporter {
    fn name(&self) -> &str {
        self.destination.name()
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Accepted, ExportError>> {
        Box::pin(async move {
            let timeout = self.destination.options.timeout;
            let result = in_time(timeout, self.call(batch)).await;
            if matches!(result, Err(Failure::Silence { .. })) {
                *self.service.lock().await = service(&self.destination);
            }
            result.map_err(|failure| failure.of(self.destination.name()))
        })
    }
}

fn service(destination: &Destination) -> Grpc<HttpClient<Body>> {
    let service = Grpc::with_origin(client(destination), destination.uri(None))
        .max_decoding_message_size(LARGEST_ANSWER)
        .accept_compressed(CompressionEncoding::Gzip);
    match destination.options.compression {
        Compression::None => service,
        Compression::Gzip => service.send_compressed(CompressionEncoding::Gzip),
    }
}
