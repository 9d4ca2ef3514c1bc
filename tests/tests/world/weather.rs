//! Fair weather; the foul kinds are in `matrix`.
use waxwing_tests::world::World;

#[test]
fn two_friends_talk_in_calm_weather() {
    let mut world = World::new(1, 2);
    let (alice, bob) = world.two_friends(1, 1);
    let (a, b) = (world.device(alice, 0), world.device(bob, 0));
    for number in 0..5 {
        world.say(a, bob, &format!("from Alice {number}"));
        world.say(b, alice, &format!("from Bob {number}"));
    }
    world.settle();
    world.judge().assert();
}
