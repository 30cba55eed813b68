//! The client against servers that answer slowly, wrongly, or not at all, over an in-memory pipe.

use common::resp::{Client, ClientError, Value, ValueError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;

/// A server that expects `request` and answers `reply` in pieces of `piece` bytes, then closes.
async fn serve(mut stream: DuplexStream, request: &'static [u8], reply: Vec<u8>, piece: usize) {
    let mut got = vec![0; request.len()];
    stream.read_exact(&mut got).await.expect("the client sends its request");
    assert_eq!(got, request, "the request, as it is on the wire");
    for piece in reply.chunks(piece) {
        stream.write_all(piece).await.expect("the client reads");
    }
}

/// What `call` returns for `GET k` when the server answers `reply`.
async fn call(reply: &[u8], piece: usize) -> Result<Value, ClientError> {
    let (near, far) = duplex(7);
    let server = tokio::spawn(serve(far, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", reply.to_vec(), piece));
    let result = Client::new(near).call(&["GET", "k"]).await;
    // The client is gone, and with it the other end of the pipe: a server with more to say may fail, in which case the
    // result shows why.
    let _ = server.await;
    result
}

#[tokio::test]
async fn a_call_sends_an_array_and_returns_the_reply_however_it_is_cut() {
    let mut reply = b"$100000\r\n".to_vec();
    reply.extend_from_slice(&[b'v'; 100_000]);
    reply.extend_from_slice(b"\r\n");
    for piece in [3, 1000, 1 << 20] {
        let value = call(&reply, piece).await.expect("a reply");
        assert_eq!(value.as_bytes(), Some([b'v'; 100_000].as_slice()), "in pieces of {piece} bytes");
    }
}

#[tokio::test]
async fn an_error_of_the_server_is_a_value_unless_it_is_asked_for() {
    let value = call(b"-WRONGTYPE no\r\n", 4).await.expect("an error is a reply");
    assert_eq!(value, Value::Error("WRONGTYPE no".to_owned()));

    let (near, far) = duplex(64);
    let server = tokio::spawn(serve(far, b"*1\r\n$4\r\nPING\r\n", b"-LOADING wait\r\n".to_vec(), 64));
    let error = Client::new(near).try_call(&["PING"]).await.expect_err("the server answered an error");
    assert!(matches!(&error, ClientError::Server(text) if text == "LOADING wait"), "{error:?}");
    server.await.expect("the server had its say");
}

#[tokio::test]
async fn a_pipeline_is_answered_in_order() {
    let (near, far) = duplex(1024);
    let request = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n*1\r\n$4\r\nPING\r\n";
    let server = tokio::spawn(serve(far, request, b"$1\r\n1\r\n$-1\r\n+PONG\r\n".to_vec(), 5));
    let mut client = Client::new(near);
    client.send(&["GET", "a"]);
    client.send(&[b"GET".to_vec(), b"b".to_vec()]);
    client.send(&["PING"]);
    client.flush().await.expect("sent");
    for expected in [Value::Bulk(b"1".to_vec()), Value::Null, Value::Simple("PONG".to_owned())] {
        assert_eq!(client.receive().await.expect("a reply"), expected);
    }
    server.await.expect("the server had its say");
    assert!(matches!(client.receive().await, Err(ClientError::Closed)), "after the last reply the server closed");
}

#[tokio::test]
async fn pushes_that_arrive_before_a_reply_are_kept_in_order() {
    let (near, far) = duplex(1024);
    let reply = b">2\r\n+message\r\n:1\r\n>2\r\n+message\r\n:2\r\n+PONG\r\n>2\r\n+message\r\n:3\r\n".to_vec();
    let server = tokio::spawn(serve(far, b"*1\r\n$4\r\nPING\r\n", reply, 9));
    let mut client = Client::new(near);
    assert_eq!(client.call(&["PING"]).await.expect("a reply"), Value::Simple("PONG".to_owned()));
    for number in 1..=3 {
        let push = client.receive().await.expect("a push");
        assert_eq!(push, Value::Push(vec![Value::Simple("message".to_owned()), Value::Integer(number)]));
    }
    server.await.expect("the server had its say");
}

#[tokio::test]
async fn a_reply_that_is_cut_off_is_told_from_one_that_is_wrong() {
    assert!(matches!(call(b"", 1).await, Err(ClientError::Closed)));
    assert!(matches!(call(b"$5\r\nab", 1).await, Err(ClientError::Closed)));
    assert!(matches!(call(b"HTTP/1.1 400\r\n", 64).await, Err(ClientError::Protocol(ValueError::UnknownType(b'H')))));
}

#[tokio::test]
async fn the_handshake_asks_for_a_version_and_gives_the_password() {
    let (near, far) = duplex(1024);
    let request = b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n";
    let server = tokio::spawn(serve(far, request, b"+OK\r\n".to_vec(), 64));
    Client::new(near).auth("secret").await.expect("the password is right");
    server.await.expect("the server had its say");

    let (near, far) = duplex(1024);
    let server =
        tokio::spawn(serve(far, b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n", b"%1\r\n$5\r\nproto\r\n:3\r\n".to_vec(), 64));
    let about = Client::new(near).hello(3).await.expect("the server speaks RESP3");
    assert_eq!(about.lookup("proto").and_then(Value::as_i64), Some(3));
    server.await.expect("the server had its say");
}

#[tokio::test]
async fn a_client_connects_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("the port");
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut got = [0; 14];
        stream.read_exact(&mut got).await.expect("a request");
        stream.write_all(b"+PONG\r\n").await.expect("the client reads");
    });
    let mut client = Client::connect(addr).await.expect("the server listens");
    assert_eq!(client.call(&["PING"]).await.expect("a reply"), Value::Simple("PONG".to_owned()));
    server.await.expect("the server had its say");
}
