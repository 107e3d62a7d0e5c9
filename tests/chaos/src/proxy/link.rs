//! One connection through the proxy: two streams, and a pump for each direction.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch::Receiver,
};

use super::{Direction, Trouble, Weather};

/// The connection is to be reset.
struct Broken;

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// Carries one connection until one side has closed it or it is broken.
pub(super) async fn run(client: TcpStream, weather: Receiver<Weather>) {
    let now = *weather.borrow();
    if now.trouble == Trouble::Refuse {
        return reset(&client);
    }
    let server = match now.upstream {
        Some(upstream) => TcpStream::connect(upstream).await.ok(),
        None => None,
    };
    let Some(server) = server else {
        return reset(&client);
    };
    let _unhurried = client.set_nodelay(true).and(server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (mut inward, mut outward) = (to_server, to_client);
    let pumps = async {
        tokio::try_join!(
            pump(from_client, &mut inward, Direction::In, weather.clone()),
            pump(from_server, &mut outward, Direction::Out, weather.clone()),
        )
    };
    let whole = tokio::select! {
        pumped = pumps => pumped.is_ok(),
        () = reset_from_outside(weather.clone(), now.resets) => false,
    };
    if !whole {
        for half in [inward, outward] {
            reset(half.as_ref());
            half.forget(); // dropping it would send FIN first
        }
    }
}

/// Dropping the stream then sends RST instead of FIN.
fn reset(stream: &TcpStream) {
    let _it_may_be_gone = stream.set_zero_linger();
}

async fn reset_from_outside(mut weather: Receiver<Weather>, resets: u64) {
    let gone = weather
        .wait_for(|weather| weather.resets > resets)
        .await
        .is_err();
    if gone {
        std::future::pending::<()>().await; // the proxy is gone, and its links with it
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    direction: Direction,
    mut weather: Receiver<Weather>,
) -> Result<(), Broken> {
    let mut buffer = vec![0; 16 * 1_024];
    // How many bytes may still pass before the connection is cut; counted anew for each cut.
    let mut cut: Option<(Trouble, u64)> = None;
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            to.shutdown().await?;
            return Ok(());
        }
        let mut passing = read;
        let trouble = weather.borrow_and_update().trouble;
        match trouble {
            Trouble::Delay(by) => tokio::time::sleep(by).await,
            Trouble::Silence(silent) if silent == direction => {
                let over = |weather: &Weather| weather.trouble != trouble;
                weather.wait_for(over).await.map_err(|_| Broken)?;
            }
            Trouble::Cut(cut_in, after) if cut_in == direction => {
                let left = match cut {
                    Some((same, left)) if same == trouble => left,
                    _ => after,
                };
                passing = usize::try_from(left).unwrap_or(read).min(read);
                cut = Some((trouble, left - passing as u64));
            }
            _ => {}
        }
        to.write_all(&buffer[..passing]).await?;
        if passing < read {
            return Err(Broken);
        }
    }
}
