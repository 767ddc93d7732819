#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| securemcp_fuzz::run("url_guard", bytes));
