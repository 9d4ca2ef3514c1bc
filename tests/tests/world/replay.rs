//! A seed is one world, byte for byte.
use waxwing_tests::world::{Weather, World};

fn trace(seed: u64) -> [u8; 32] {
    let mut world = World::new(seed, 2);
    let (alice, bob) = world.two_friends(2, 2);
    world.weather = Weather::storm();
    world.schedule_weather(std::time::Duration::from_secs(30));
    for number in 0..3 {
        world.say(world.device(alice, number % 2), bob, "to Bob");
        world.say(world.device(bob, 1), alice, "to Alice");
        world.run_for(std::time::Duration::from_secs(10));
    }
    world.heal();
    world.settle();
    world.trace()
}

#[test]
fn a_seed_replays_exactly() {
    let one = trace(7);
    assert_eq!(trace(7), one);
    assert_ne!(trace(8), one);
}
