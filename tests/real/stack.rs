//! The deployment that ships, as a whole.

use crate::harness::Stack;

#[test]
fn the_deployment_that_ships() {
    let stack = Stack::start();
    stack.run(&[], &["health"]).done();
}
