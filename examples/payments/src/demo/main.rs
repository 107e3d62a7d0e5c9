//! The demo: one coordinator or several and six services that die again and again while customers pay, and then the books, held against
//! the promises.
//!
//! It never repairs anything: all that it does to the platform is to start it, to pay, and to kill.

mod absorbed;
mod books;
mod checker;
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
mod store;
mod table;
mod takeover;
mod talk;
mod tally;
mod window;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use member::Member;
use narrator::Narrator;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use store::{Place, Store};
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
    /// Where the coordinators keep everything: `sqlite`, a file in the data directory, or a server,
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE` or `mysql://…` (MariaDB, too). On a server a new database is made for the run, and dropped after it unless a promise was found broken; what was
    /// there is not touched.
    #[arg(long, default_value = "sqlite", value_name = "sqlite|URL")]
    store: Place,
    /// How many coordinators share it, each of which is killed. More than one need a server.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=i64::from(Member::MOST_NODES)))]
    nodes: u8,
    /// Leaves everything running at the end, to look around, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

// One thread, for good: the children are told to die with the thread that started them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let narrator = Narrator::new();
    if flags.nodes > 1 && matches!(flags.store, Place::Sqlite) {
        narrator.print("Several coordinators need a database that they can share: make demo STORE=postgres NODES=2 (or STORE=mysql)\n");
        return ExitCode::from(2);
    }
    let store = match Store::make(flags.store).await {
        Ok(store) => store,
        Err(error) => {
            narrator.print(&format!("The run could not begin: {error:#}\n"));
            return ExitCode::from(2);
        }
    };
    // When this is dropped, whatever the reason, so are the children, and that kills them.
    let running = run::run(run::Options {
        seed: flags.seed.unwrap_or_else(any_seed),
        data: flags.data,
        store: store.clone(),
        nodes: flags.nodes,
        keep: flags.keep,
        narrator,
    });
    let outcome = tokio::select! {
        outcome = running => outcome,
        () = interrupted() => {
            narrator.print("\nInterrupted: everything that was started is stopped.\n");
            clear_away(&store, narrator).await;
            return ExitCode::from(130);
        }
    };
    match outcome {
        Ok(0) => {
            clear_away(&store, narrator).await;
            ExitCode::SUCCESS
        }
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            narrator.print(&format!(
                "\nThe run could not be carried through: {error:#}\n"
            ));
            ExitCode::from(2)
        }
    }
}

async fn clear_away(store: &Store, narrator: Narrator) {
    if let Err(error) = store.remove().await {
        narrator.print(&format!("{error:#}\n"));
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
