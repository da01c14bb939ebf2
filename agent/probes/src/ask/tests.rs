use super::*;
use std::ops::RangeInclusive;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Far over what loopback needs: only a test that is about the timeout may meet it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Accepts one connection, reads the request's head, writes `answer` and closes.
async fn server(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/health?deep=1", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        // The client may leave before a long answer is over.
        let _ = stream.write_all(&answer).await;
        String::from_utf8(head).unwrap()
    });
    (url, served)
}

fn probe(url: &str) -> HttpProbe {
    HttpProbe::new("web", url, PATIENCE).unwrap()
}

async fn answered(answer: &[u8], expect: RangeInclusive<u16>) -> ProbeResult {
    let (url, _served) = server(answer.to_vec()).await;
    ask(&probe(&url).expecting(expect).unwrap()).await
}

#[tokio::test]
async fn a_service_is_asked_for_its_path_by_its_name() {
    let (url, served) = server(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()).await;
    let result = ask(&probe(&url)).await;
    assert!(result.success, "{result:?}");
    let request = served.await.unwrap();
    assert!(request.starts_with("GET /health?deep=1 HTTP/1.1\r\nhost: 127.0.0.1:"), "{request}");
}

#[tokio::test]
async fn an_answer_is_judged_by_its_status_and_its_end() {
    let cases: [(&[u8], Option<u16>, Option<&str>); 7] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Some(200), None),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", Some(200), None),
        (b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", Some(503), Some("status 503")),
        (b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", Some(302), Some("status 302")),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", Some(200), Some(CUT_SHORT)),
        (b"", None, Some(CUT_SHORT)),
        (b"SSH-2.0-OpenSSH_9.6\r\n", None, Some("answer is not HTTP")),
    ];
    for (answer, status, failure) in cases {
        let result = answered(answer, 200..=299).await;
        let context = String::from_utf8_lossy(answer);
        assert_eq!(result.status, status, "{context}");
        assert_eq!(result.failure.as_deref(), failure, "{context}");
        assert_eq!(result.success, failure.is_none(), "{context}");
    }
}

#[tokio::test]
async fn another_status_can_be_the_expected_one() {
    let result = answered(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", 503..=503).await;
    assert!(result.success, "{result:?}");
}

#[tokio::test]
async fn of_a_huge_body_only_the_beginning_is_read() {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n".to_vec();
    answer.resize(answer.len() + 2 * MAX_BODY_BYTES, b'x');
    let result = answered(&answer, 200..=299).await;
    assert!(result.success, "{result:?}");
}

#[tokio::test]
async fn an_endless_head_is_a_failure() {
    let mut answer = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
    answer.resize(answer.len() + 4 * MAX_HEAD_BYTES, b'x');
    let result = answered(&answer, 200..=299).await;
    assert_eq!(result.failure.as_deref(), Some("answer is not HTTP"));
}

#[tokio::test]
async fn a_port_without_a_service_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let result = ask(&probe(&url)).await;
    assert_eq!((result.status, result.failure.as_deref()), (None, Some("connection refused")));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_hangs_is_given_up_at_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let result = ask(&HttpProbe::new("web", &url, Duration::from_millis(500)).unwrap()).await;
    assert_eq!(result.failure.as_deref(), Some("timed out after 500ms"));
    assert!((500..510).contains(&result.duration.as_millis()), "{:?}", result.duration);
}
