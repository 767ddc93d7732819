//! One function for each reader of what strangers write, which panics if a rule is broken.

mod challenge;
mod configuration;
mod document;
mod envelope;
mod redirect;
mod token;
mod url_guard;

/// Reads bytes, and judges how they were read.
pub(crate) type Reader = fn(&[u8]);

/// Each reader by the name of its fuzzer and of its corpus, `fuzz/corpus/NAME`.
pub(crate) const READERS: [(&str, Reader); 7] = [
    ("challenge", challenge::read),
    ("configuration", configuration::read),
    ("document", document::read),
    ("envelope", envelope::read),
    ("redirect", redirect::read),
    ("token", token::read),
    ("url_guard", url_guard::read),
];
