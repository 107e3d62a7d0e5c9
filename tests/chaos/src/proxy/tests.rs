use std::io::ErrorKind;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use super::*;

const LONG: Duration = Duration::from_secs(20);

/// A proxy in front of something that sends everything back.
async fn echo() -> Proxy {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let proxy = Proxy::start().await.unwrap();
    proxy.lead_to(listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _it_may_be_cut = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    proxy
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address).await.unwrap()
}

/// Sends, and reads until as much has come back, or the connection ended: how much came back, and how it ended.
async fn exchange(stream: &mut TcpStream, text: &[u8]) -> (usize, Option<ErrorKind>) {
    if let Err(error) = stream.write_all(text).await {
        return (0, Some(error.kind()));
    }
    let mut back = Vec::new();
    while back.len() < text.len() {
        let read = timeout(LONG, stream.read_buf(&mut back)).await;
        match read.expect("neither an answer nor an end") {
            Ok(0) => return (back.len(), Some(ErrorKind::UnexpectedEof)),
            Ok(_) => {}
            Err(error) => return (back.len(), Some(error.kind())),
        }
    }
    assert_eq!(back, text);
    (back.len(), None)
}

#[tokio::test]
async fn carries_what_it_is_given() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    let text = vec![7; 100_000];
    let (mut from, mut to) = stream.split();
    let mut back = vec![0; text.len()];
    let (sent, read) = tokio::join!(to.write_all(&text), from.read_exact(&mut back));
    sent.unwrap();
    read.unwrap();
    assert_eq!(back, text);
}

#[tokio::test]
async fn cuts_at_the_byte_in_both_directions() {
    for direction in [Direction::In, Direction::Out] {
        let proxy = echo().await;
        let mut stream = connect(&proxy).await;
        assert_eq!(exchange(&mut stream, b"whole").await, (5, None));
        proxy.set(Trouble::Cut(direction, 3));
        // What had passed is lost in a reset, or it is not; more never comes.
        let (came, end) = exchange(&mut stream, b"broken off").await;
        assert!(came <= 3, "{came}");
        assert!(end.is_some());
    }
}

#[tokio::test]
async fn resets_what_is_open_and_takes_new_connections() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    assert_eq!(exchange(&mut stream, b"well").await, (4, None));
    proxy.set(Trouble::Reset);
    let (_, end) = exchange(&mut stream, b"gone").await;
    assert!(matches!(
        end,
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
    ));
    let mut another = connect(&proxy).await;
    assert_eq!(exchange(&mut another, b"well").await, (4, None));
}

#[tokio::test]
async fn refuses_until_it_is_told_otherwise() {
    let proxy = echo().await;
    proxy.set(Trouble::Refuse);
    let mut stream = connect(&proxy).await;
    assert!(exchange(&mut stream, b"no").await.1.is_some());
    proxy.set(Trouble::None);
    let mut stream = connect(&proxy).await;
    assert_eq!(exchange(&mut stream, b"yes").await, (3, None));
}

#[tokio::test]
async fn what_was_kept_back_comes_late_and_whole() {
    for direction in [Direction::In, Direction::Out] {
        let proxy = echo().await;
        let mut stream = connect(&proxy).await;
        assert_eq!(exchange(&mut stream, b"before").await, (6, None));
        proxy.set(Trouble::Silence(direction));
        tokio::select! {
            came = exchange(&mut stream, b"during") => panic!("{came:?} came through silence"),
            () = sleep(Duration::from_millis(100)) => {}
        }
        proxy.set(Trouble::None);
        let mut back = [0; 6];
        timeout(LONG, stream.read_exact(&mut back))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&back, b"during");
    }
}

#[tokio::test]
async fn nothing_behind_it_is_a_reset() {
    let proxy = Proxy::start().await.unwrap();
    let mut stream = connect(&proxy).await;
    assert!(exchange(&mut stream, b"anybody?").await.1.is_some());
}
