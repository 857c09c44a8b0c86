//! Matching of people, measured.
//!
//! `cargo bench --bench people -- --febrl DIR [--show] [--without-test]`: the FEBRL sets (DIR from
//! `benches/people/febrl.py`).

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a benchmark: what goes wrong ends it, and it prints what it measures"
)]

mod febrl;

use std::path::Path;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    if let Some(folder) = value("--febrl") {
        febrl::run(Path::new(folder), !given("--without-test"), given("--show"));
    }
}
