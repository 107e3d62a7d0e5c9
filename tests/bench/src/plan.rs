//! Which measurements are made, in which order.

use std::time::Duration;

use crate::{
    options::{Case, Mode, Options, Transport},
    tcc::Until,
};

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    Echo {
        callers: usize,
    },
    /// `settle`: with the ends of deliveries.
    StoreRaw {
        size: usize,
        settle: bool,
    },
    Messages(Messages),
    Tcc(Tcc),
}

/// Load of two branches each on a coordinator.
#[derive(Clone, Copy, Debug)]
pub struct Tcc {
    pub until: Until,
    pub callers: usize,
    /// False: each command is committed by itself.
    pub batched: bool,
    pub window: Duration,
}

/// Load on a coordinator.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    pub transport: Transport,
    pub callers: usize,
    /// False: each command is committed by itself.
    pub batched: bool,
    /// False: nobody takes the messages.
    pub subscribed: bool,
    pub window: Duration,
}

impl Run {
    /// The cases that it gives a figure for.
    pub fn cases(&self) -> &'static [Case] {
        match self {
            Self::Echo { .. } => &[Case::GrpcEcho],
            Self::StoreRaw { settle: false, .. } => &[Case::StoreRaw],
            Self::StoreRaw { settle: true, .. } => &[Case::StoreRawDelivered],
            Self::Messages(Messages {
                subscribed: true, ..
            }) => &[Case::MessageAcknowledged, Case::MessageDelivered],
            Self::Messages(Messages {
                subscribed: false, ..
            }) => &[Case::MessageUnsubscribed],
            Self::Tcc(tcc) => match tcc.until {
                Until::Decided => &[Case::TccDecided],
                Until::Final => &[Case::TccFinal],
                Until::Executed => &[Case::TccExecuted],
            },
        }
    }

    /// About how long it takes.
    pub fn length(&self, options: &Options) -> Duration {
        /// Starting the coordinator, connecting, and waiting for what is still to be delivered.
        const AROUND: Duration = Duration::from_millis(500);
        let window = match self {
            // Nothing else is measured by them than what is possible at all.
            Self::Echo { .. } | Self::StoreRaw { .. } => options.window() / 2,
            Self::Messages(messages) => messages.window,
            Self::Tcc(tcc) => tcc.window,
        };
        options.warm_up() + window + AROUND
    }

    fn is_asked_for(&self, options: &Options) -> bool {
        let case =
            options.only.is_empty() || self.cases().iter().any(|case| options.only.contains(case));
        let (transport, callers) = match self {
            Self::Echo { callers } => (None, Some(*callers)),
            Self::StoreRaw { .. } => (None, None),
            Self::Messages(messages) => (Some(messages.transport), Some(messages.callers)),
            Self::Tcc(tcc) => (Some(Transport::Grpc), Some(tcc.callers)),
        };
        let same = |asked: Option<usize>| asked.is_none() || callers.is_none() || asked == callers;
        case && same(options.callers)
            && (options.transport.is_none() || options.transport == transport)
    }
}

/// What is measured in one go.
pub fn plan(options: &Options) -> Vec<Run> {
    let runs = match options.mode {
        Mode::Messages => messages(options),
        Mode::Tcc => tcc(options),
    };
    runs.into_iter()
        .filter(|run| run.is_asked_for(options))
        .collect()
}

fn tcc(options: &Options) -> Vec<Run> {
    let (window, sustained) = (options.window(), options.sustained());
    let lone = Tcc {
        until: Until::Decided,
        callers: 1,
        batched: true,
        window,
    };
    let many = Tcc {
        until: Until::Final,
        callers: 64,
        ..lone
    };
    let executed = Tcc {
        until: Until::Executed,
        ..many
    };
    let runs = [
        lone,
        Tcc { callers: 1, ..many },
        Tcc {
            window: sustained,
            ..many
        },
        Tcc {
            callers: 512,
            ..many
        },
        Tcc {
            batched: false,
            ..many
        },
        Tcc {
            callers: 1,
            ..executed
        },
        executed,
        Tcc {
            callers: 512,
            ..executed
        },
    ];
    let echoes = [1, 64, 512].map(|callers| Run::Echo { callers });
    echoes
        .into_iter()
        .chain(runs.into_iter().map(Run::Tcc))
        .collect()
}

fn messages(options: &Options) -> Vec<Run> {
    let (window, sustained) = (options.window(), options.sustained());
    let grpc = Messages {
        transport: Transport::Grpc,
        callers: 64,
        batched: true,
        subscribed: true,
        window,
    };
    let sdk = Messages {
        transport: Transport::Sdk,
        ..grpc
    };
    let runs = [
        Run::Echo { callers: 1 },
        Run::Echo { callers: 64 },
        Run::Echo { callers: 512 },
        Run::StoreRaw {
            size: 64,
            settle: false,
        },
        Run::StoreRaw {
            size: 256,
            settle: false,
        },
        Run::StoreRaw {
            size: 256,
            settle: true,
        },
        Run::Messages(Messages { callers: 1, ..grpc }),
        Run::Messages(Messages {
            window: sustained,
            ..grpc
        }),
        Run::Messages(Messages {
            callers: 512,
            window: sustained,
            ..grpc
        }),
        Run::Messages(Messages {
            batched: false,
            ..grpc
        }),
        Run::Messages(Messages {
            callers: 512,
            batched: false,
            ..grpc
        }),
        Run::Messages(Messages {
            subscribed: false,
            ..grpc
        }),
        Run::Messages(Messages {
            callers: 512,
            subscribed: false,
            ..grpc
        }),
        Run::Messages(Messages {
            batched: false,
            subscribed: false,
            ..grpc
        }),
        Run::Messages(Messages { callers: 1, ..sdk }),
        Run::Messages(sdk),
        Run::Messages(Messages {
            callers: 512,
            ..sdk
        }),
        Run::Messages(Messages {
            batched: false,
            ..sdk
        }),
    ];
    runs.into()
}
