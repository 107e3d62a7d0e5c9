//! A service that takes messages: an inbox row and an effect in one local transaction, and moods.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use earnest_protocol::DeliveryAnswer;
use earnest_store::{DeliveryKey, DeliveryWork};

use super::{Gate, World};
use crate::plan::{FaultKind, Mood};

struct State {
    inbox: BTreeSet<DeliveryKey>,
    moods: Vec<Mood>,
    gate: Arc<Gate>,
    held_down: u32,
}

pub(super) struct Consumer {
    number: u8,
    state: Mutex<State>,
}

impl Consumer {
    pub(super) fn new(number: u8) -> Self {
        Self {
            number,
            state: Mutex::new(State {
                inbox: BTreeSet::new(),
                moods: vec![],
                gate: Arc::new(Gate::new()),
                held_down: 0,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics in here")
    }

    pub(super) fn turns(&self, mood: Mood) {
        self.state().moods.push(mood);
    }

    pub(super) fn recovers(&self, mood: Mood) {
        let mut state = self.state();
        if let Some(at) = state.moods.iter().position(|other| *other == mood) {
            state.moods.remove(at);
        }
    }

    pub(super) fn kill(&self) {
        let mut state = self.state();
        state.held_down += 1;
        state.gate.kill();
        state.gate = Arc::new(Gate::new());
    }

    pub(super) fn start_again(&self) {
        self.state().held_down -= 1;
    }

    fn mood(&self, world: &World) -> Option<Mood> {
        let mood = self.state().moods.first().copied();
        if let Some(mood) = mood {
            world.meets(FaultKind::Consumer(self.number, mood).name());
        }
        mood
    }

    /// Takes a batch; `None`: nobody listens.
    pub(super) async fn takes(
        &self,
        world: &World,
        batch: &[DeliveryWork],
    ) -> Option<Vec<DeliveryAnswer>> {
        let gate = {
            let state = self.state();
            if state.held_down > 0 {
                return None;
            }
            Arc::clone(&state.gate)
        };
        tokio::select! {
            answers = self.takes_all(world, batch, &gate) => answers,
            () = gate.died() => None,
        }
    }

    async fn takes_all(
        &self,
        world: &World,
        batch: &[DeliveryWork],
        gate: &Gate,
    ) -> Option<Vec<DeliveryAnswer>> {
        let slow = world.setup.slow_ms(self.number);
        tokio::time::sleep(Duration::from_millis(slow.into())).await;
        let mut answers = Vec::with_capacity(batch.len());
        for work in batch {
            if world.network.draw((self.number, "consumer is slow"), 8) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            gate.pass().await;
            let mood = self.mood(world);
            let some = world.network.draw((self.number, "mood"), 2) == 0;
            match mood {
                Some(Mood::Down) => return None,
                Some(Mood::Hangs) => {
                    tokio::time::sleep(Duration::from_mins(2)).await;
                    return None;
                }
                Some(Mood::Omits) if some => break,
                // Longer than a call may take.
                Some(Mood::Slow) if answers.is_empty() => {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                }
                _ => {}
            }
            world.book.handed(&work.key);
            answers.push(match mood {
                Some(Mood::Busy) => DeliveryAnswer::InProgress,
                Some(Mood::Fails) if some => DeliveryAnswer::Failed("it never will".to_owned()),
                Some(Mood::Unsure) => {
                    if some {
                        self.commits(world, &work.key);
                    }
                    DeliveryAnswer::Unknown
                }
                _ => {
                    self.commits(world, &work.key);
                    world.book.acknowledged(&work.key);
                    DeliveryAnswer::Ok
                }
            });
        }
        Some(answers)
    }

    /// The inbox row and the effect, once.
    fn commits(&self, world: &World, key: &DeliveryKey) {
        let is_new = self.state().inbox.insert(key.clone());
        if is_new {
            world.book.effect(key);
            world.trace.note(format_args!("effect of {key}"));
        }
    }
}
