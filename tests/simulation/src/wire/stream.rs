//! One end of a simulated TCP connection: bytes come in order, late, and all or none of them.
//!
//! A cut holds bytes up until it is mended, as retransmission does; it never takes some out of the middle. A killed peer is a
//! reset, or silence that only keep-alives find out.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::wires::Wires;
use crate::plan::Party;

/// Bytes under way in one direction, at most.
const WINDOW: usize = 256 << 10;

/// What became of one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is as it should be.
    Lives,
    /// The connection is gone, and this end knows.
    Reset,
    /// The peer is gone, and this end does not know.
    Silent,
}

/// What is under way.
enum Piece {
    Bytes(Vec<u8>),
    End,
    Reset,
}

struct Pipe {
    /// Pieces and when they arrive.
    under_way: VecDeque<(Instant, Piece)>,
    /// How much of the first piece was read.
    read: usize,
    bytes: usize,
    last: Instant,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Both directions of one connection, and what became of its ends.
pub(super) struct Connection {
    /// Who made it, and who took it.
    pub(super) parties: [Party; 2],
    state: Mutex<State>,
}

struct State {
    /// What the end of that number writes.
    pipes: [Pipe; 2],
    fates: [Fate; 2],
}

impl Connection {
    pub(super) fn new(from: Party, to: Party) -> Self {
        let pipe = || Pipe {
            under_way: VecDeque::new(),
            read: 0,
            bytes: 0,
            last: Instant::now(),
            reader: None,
            writer: None,
        };
        Self {
            parties: [from, to],
            state: Mutex::new(State {
                pipes: [pipe(), pipe()],
                fates: [Fate::Lives; 2],
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics in here")
    }

    /// Lets both ends look again.
    pub(super) fn wake(&self) {
        let mut state = self.state();
        for pipe in &mut state.pipes {
            for waker in [pipe.reader.take(), pipe.writer.take()]
                .into_iter()
                .flatten()
            {
                waker.wake();
            }
        }
    }

    /// The process of `party` dies: its own end is reset, and the peer's is or hears nothing more.
    pub(super) fn dies(&self, party: Party, peer_hears: bool) {
        {
            let mut state = self.state();
            for end in 0..2 {
                if self.parties[end] == party {
                    state.fates[end] = Fate::Reset;
                } else if state.fates[end] != Fate::Reset {
                    state.fates[end] = if peer_hears {
                        Fate::Reset
                    } else {
                        Fate::Silent
                    };
                }
            }
        }
        self.wake();
    }

    /// The process of `party` is there again, and knows nothing of this connection.
    pub(super) fn is_unknown_to(&self, party: Party) {
        {
            let mut state = self.state();
            for end in 0..2 {
                if self.parties[end] != party && state.fates[end] == Fate::Silent {
                    state.fates[end] = Fate::Reset;
                }
            }
        }
        self.wake();
    }
}

/// One end.
pub(crate) struct SimulatedStream {
    wires: Arc<Wires>,
    connection: Arc<Connection>,
    end: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl SimulatedStream {
    pub(super) fn new(wires: &Arc<Wires>, connection: &Arc<Connection>, end: usize) -> Self {
        Self {
            wires: Arc::clone(wires),
            connection: Arc::clone(connection),
            end,
            timer: None,
        }
    }

    fn own(&self) -> Party {
        self.connection.parties[self.end]
    }

    fn peer(&self) -> Party {
        self.connection.parties[1 - self.end]
    }

    /// Puts a piece on its way.
    fn push(&self, piece: Piece) {
        let (network, own, peer) = (&self.wires.network, self.own(), self.peer());
        let wait = network.segment(own, peer, self.end == 0);
        let breaks = network.breaks(own, peer);
        let mut state = self.connection.state();
        let pipe = &mut state.pipes[self.end];
        pipe.last = pipe.last.max(Instant::now() + wait);
        if let Piece::Bytes(bytes) = &piece {
            pipe.bytes += bytes.len();
        }
        let at = pipe.last;
        pipe.under_way.push_back((at, piece));
        if breaks {
            pipe.under_way.push_back((at, Piece::Reset));
        }
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
    }
}

impl AsyncRead for SimulatedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let (own, peer) = (this.own(), this.peer());
        let connection = Arc::clone(&this.connection);
        let mut state = connection.state();
        if state.fates[this.end] == Fate::Reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let silent = state.fates[this.end] == Fate::Silent;
        let pipe = &mut state.pipes[1 - this.end];
        pipe.reader = Some(context.waker().clone());
        let Some((at, piece)) = pipe.under_way.front() else {
            return Poll::Pending;
        };
        if silent || this.wires.is_frozen(own) || this.wires.network.is_cut(peer, own) {
            return Poll::Pending;
        }
        if *at > Instant::now() {
            let mut timer = Box::pin(sleep_until(*at));
            if timer.as_mut().poll(context).is_pending() {
                this.timer = Some(timer);
                return Poll::Pending;
            }
        }
        let bytes = match piece {
            Piece::Bytes(bytes) => bytes,
            // The end of the stream stays the end.
            Piece::End => return Poll::Ready(Ok(())),
            Piece::Reset => {
                state.fates = [Fate::Reset; 2];
                drop(state);
                connection.wake();
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        };
        let left = &bytes[pipe.read..];
        let taken = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..taken]);
        if taken == left.len() {
            pipe.under_way.pop_front();
            pipe.read = 0;
        } else {
            pipe.read += taken;
        }
        pipe.bytes -= taken;
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimulatedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let frozen = self.wires.is_frozen(self.own());
        {
            let mut state = self.connection.state();
            if state.fates[self.end] == Fate::Reset {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let pipe = &mut state.pipes[self.end];
            if frozen || pipe.bytes >= WINDOW {
                pipe.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        self.push(Piece::Bytes(bytes.to_vec()));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.push(Piece::End);
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        self.push(Piece::End);
    }
}
