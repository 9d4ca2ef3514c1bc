//! A device that stops at any point, and a store that fails at any write.
use std::time::Duration;

use waxwing_tests::world::{DeviceIndex, World};

/// Two friends with two devices each; the first of each says something, and what is broken is broken in `device` by then.
fn talk(
    break_it: impl Fn(&mut World, DeviceIndex),
    broken: impl Fn(&World, DeviceIndex) -> bool,
    whose: usize,
) -> bool {
    let mut world = World::new(1, 1);
    let (alice, bob) = world.two_friends(2, 2);
    let devices = [world.device(alice, 0), world.device(bob, 0), world.device(bob, 1)];
    let device = devices[whose];
    break_it(&mut world, device);
    world.say(devices[0], bob, "from Alice");
    world.run_for(Duration::from_secs(3));
    world.say(devices[1], alice, "from Bob");
    world.run_for(Duration::from_secs(60));
    world.settle();
    world.judge().assert();
    broken(&world, device)
}

/// B6, S4: whichever output is the last of its life, the device goes on with what its store holds: nothing is lost or doubled, and no
/// message key seals twice.
#[test]
fn b6_a_device_stops_after_any_prefix_of_its_outputs() {
    for whose in 0..3 {
        let mut outputs = 0;
        loop {
            let crash = |world: &mut World, device| world.crash_after(device, outputs);
            let has_crashed = |world: &World, device| !world.awaits_crash(device);
            if !talk(crash, has_crashed, whose) {
                break;
            }
            outputs += 1;
        }
        assert!(outputs > 10, "{outputs} outputs are no conversation");
    }
}

#[test]
fn a_store_fails_at_any_write() {
    for whose in 0..3 {
        let mut saves = 0;
        loop {
            let fail = |world: &mut World, device| world.fail_save_after(device, saves);
            let has_failed = |world: &World, device| !world.awaits_failing_save(device);
            if !talk(fail, has_failed, whose) {
                break;
            }
            saves += 1;
        }
        assert!(saves > 3, "{saves} saves are no conversation");
    }
}
