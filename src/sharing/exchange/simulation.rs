//! Link and stores under seeded faults: thousands of schedules, each the same again for its seed.
//!
//! The world ([`world`]) runs the two state machines over stores in memory that commit as the real
//! ones do, and lines that break, stall, and say things twice. Boxes and the hub lose their power
//! between any two steps; old copies of a node's or the hub's database are put back; a box is
//! replaced, or its disk copied. At the end the faults stop and everything is compared.

mod world;

use world::{Faults, World};

/// Steps of a schedule before the faults stop.
const STEPS: usize = 400;

fn runs(name: &str, seeds: std::ops::Range<u64>, faults: Faults) {
    let mut told = world::Told::default();
    for seed in seeds {
        let mut world = World::new(seed, faults);
        for _ in 0..STEPS {
            world.step();
        }
        world.heal();
        if let Err(problem) = world.check() {
            panic!("{name}: seed {seed}: {problem}");
        }
        told.add(world.told());
    }
    // A simulation in which nothing happens proves nothing.
    assert!(told.submitted > 1000 && told.delivered > 1000, "{name}: {told:?}");
    assert!(told.cuts > 100 && told.crashes > 100, "{name}: {told:?}");
    if faults.restores {
        assert!(told.restores > 100 && told.renewals > 50, "{name}: {told:?}");
    }
    if faults.hub_restores {
        assert!(told.hub_restores > 50 && told.unsettled > 20, "{name}: {told:?}");
    }
    if faults.boxes {
        assert!(told.boxes > 50, "{name}: {told:?}");
    }
}

#[test]
fn nothing_is_lost_or_doubled_when_lines_break_and_power_fails() {
    runs("lines and power", 0..1500, Faults::default());
}

#[test]
fn an_old_copy_of_a_nodes_database_is_noticed_and_what_it_lost_comes_back() {
    runs("restored nodes", 10_000..11_500, Faults { restores: true, ..Faults::default() });
}

#[test]
fn an_old_copy_of_the_hubs_database_is_noticed_and_what_it_lost_is_sent_again() {
    runs("restored hub", 20_000..21_500, Faults { hub_restores: true, ..Faults::default() });
}

#[test]
fn a_replaced_box_and_a_copied_disk_lose_nothing() {
    runs("boxes", 30_000..31_500, Faults { boxes: true, ..Faults::default() });
}
