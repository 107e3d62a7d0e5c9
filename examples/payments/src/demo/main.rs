//! The demo: a coordinator and three services that die again and again while customers pay, and then the books, held against
//! the promises.
//!
//! It never repairs anything: all that it does to the platform is to start it, to pay, and to kill.

mod absorbed;
mod books;
mod checker;
mod customers;
mod lives;
mod member;
mod narrator;
mod plan;
mod ports;
mod promise;
mod read;
mod run;
mod running;
mod seen;
mod stage;
mod table;
mod talk;
mod tally;
mod window;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use narrator::Narrator;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::signal::{
    ctrl_c,
    unix::{SignalKind, signal},
};

/// Runs the payment platform, kills each of its processes several times, and checks the books of what is left.
///
/// Ends with 0 when every promise was kept and the run proved something, with 1 when not, with 2 when it could not be carried
/// through.
#[derive(Parser)]
struct Flags {
    /// Repeats the choices of an earlier run; without it they are new each time.
    #[arg(long)]
    seed: Option<u64>,
    /// Where the databases and logs go. Those of the run before are replaced.
    #[arg(long, default_value = "demo-data")]
    data: PathBuf,
    /// Leaves everything running at the end, to look around, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

// One thread, for good: the children are told to die with the thread that started them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let narrator = Narrator::new();
    // When this is dropped, whatever the reason, so are the children, and that kills them.
    let running = run::run(run::Options {
        seed: flags.seed.unwrap_or_else(any_seed),
        data: flags.data,
        keep: flags.keep,
        narrator,
    });
    let outcome = tokio::select! {
        outcome = running => outcome,
        () = interrupted() => {
            narrator.print("\nInterrupted: everything that was started is stopped.\n");
            return ExitCode::from(130);
        }
    };
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            narrator.print(&format!(
                "\nThe run could not be carried through: {error:#}\n"
            ));
            ExitCode::from(2)
        }
    }
}

/// Small, so that it is easily typed.
#[expect(
    clippy::disallowed_methods,
    reason = "the demo's only chance that is not from the seed is the seed"
)]
fn any_seed() -> u64 {
    u64::from(SmallRng::from_os_rng().random::<u16>())
}

async fn interrupted() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = ctrl_c() => {}
        () = terminated => {}
    }
}
