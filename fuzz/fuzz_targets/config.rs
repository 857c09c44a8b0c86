//! Configuration files: no panic on any text.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use xiangyi::config::Config;

fuzz_target!(|text: &str| {
    if let Ok(config) = Config::parse("fuzz.toml", text, &BTreeMap::new()) {
        let again = Config::parse("fuzz.toml", &config.to_toml(), &BTreeMap::new());
        assert_eq!(again.ok(), Some(config));
    }
});
