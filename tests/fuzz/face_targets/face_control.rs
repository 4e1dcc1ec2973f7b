#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| rheos_tests::fuzz_face::control(data));
