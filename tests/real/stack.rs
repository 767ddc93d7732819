//! The deployment that ships, as a whole.

use crate::{harness::Stack, stack_clients, stack_tokens};

#[test]
fn the_deployment_that_ships() {
    let mut stack = Stack::start();
    stack.run(&[], &["health"]).done();
    stack_clients::the_originals_tests(&stack);
    stack_tokens::tokens_are_judged(&mut stack);
}
