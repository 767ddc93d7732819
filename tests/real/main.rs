//! The product against other people's clients and servers.

fn main() {}
