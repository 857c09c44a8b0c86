//! Matching of people, measured.
//!
//! `cargo bench --bench people -- --febrl DIR [--show] [--without-test]`: the FEBRL sets (DIR from
//! `benches/people/febrl.py`). Learns from sets 1 to 3 and links set 4; `--without-test` leaves set 4
//! alone, for work on the method.
//!
//! `cargo bench --bench people -- --people N --villages FILE [--seed N]`: an index of N people of a
//! made-up region (FILE: villages with their codes, as `shangrao_villages.csv`), its memory, its speed, and
//! how many are linked rightly. `--load` fills it at once instead, from blobs, and says how long it
//! takes; `--show` prints who was linked wrongly.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark: what goes wrong ends it, and it prints what it measures"
)]

mod febrl;
mod online;
mod region;

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
    if let Some(people) = value("--people") {
        let villages = value("--villages").map(Path::new).unwrap();
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let seed = value("--seed").map_or(2, |text| text.parse().unwrap());
        let people = (people.parse().unwrap(), seed);
        println!("{:.0} bytes a blob", online::blob_bytes(seed, villages, &models));
        if given("--load") {
            online::load(people, villages, &models, given("--show"));
            return;
        }
        online::run(people, villages, &models);
    }
}
