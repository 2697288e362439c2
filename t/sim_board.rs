//! Seeded simulation of whole checks over a fake network: peers die, hang, flap and come back,
//! requests report, operators interfere, lists and numbers change, processes die, threads stall,
//! the wall clock jumps.
//!
//! ```text
//!   seed ─▶ World { Board, fake network, Models } ── a few hundred steps ──▶ or a complaint
//! ```
//!
//! Held after every step of every seed:
//! * no peer has two probes in flight, and no more than `concurrency` are in flight at all;
//! * state and counts of a peer are the fold of its machine, written down here a second time, over
//!   the results that count; traffic sees what follows from it by the policy; each change is told
//!   once, in order;
//! * no probe comes later than interval + jitter + one slot, unless the cap or a stalled thread
//!   kept it, and none comes earlier unless somebody asked for it;
//! * who stays in the list keeps state, counts and history, over new lists, weights, addresses,
//!   numbers, and over the death of the process.

mod fold;
mod model;
mod network;
mod world;

use crate::harness::case::Case;

use self::world::World;

pub fn cases() -> Vec<Case> {
    // `T_SEED` replays one seed, `T_LONG` runs them all.
    let only = number("T_SEED");
    let all = if number("T_LONG").is_some() { SEEDS_LONG } else { SEEDS };
    (0..PARTS)
        .map(|part| {
            Case::check(format!("health/sim/board {part}"), move || {
                let seeds = (part..all).step_by(PARTS as usize);
                match only {
                    Some(seed) if seed % PARTS == part => run(seed),
                    Some(_) => Ok(()),
                    None => seeds.into_iter().try_for_each(run),
                }
            })
        })
        .collect()
}

fn run(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed);
    for step in 0..STEPS {
        world.step().map_err(|complaint| {
            let story = world.story();
            format!(
                "seed {seed}, step {step}: {complaint}\n{story}\n\
                 replay: T_SEED={seed} cargo test --test t -- 'health/sim/board {}'",
                seed % PARTS
            )
        })?;
    }
    Ok(())
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

const SEEDS: u64 = 1_000;
const SEEDS_LONG: u64 = 10_000;
const STEPS: usize = 400;
/// Cases run side by side.
const PARTS: u64 = 2;
