//! The product, driven in-process and as the real binary.

mod tools;
