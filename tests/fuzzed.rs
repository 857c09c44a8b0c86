//! Every fuzz target on what its seeds become when they are bent: the targets of `fuzz/`, without
//! coverage and without an instrumented build, for a few seconds each. libFuzzer (`scripts/fuzz`) finds
//! more, and takes hours; this is run with every change.
//!
//! `cargo test --test fuzzed -- [--seconds N] [--seed N] [TARGET ...]`. The same seed bends the same
//! way. What a target did not stand is written below `target/fuzzed`, and can be given to
//! `cargo fuzz run TARGET FILE`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program that says what it ran, and fails when it cannot"
)]

// The targets take this from libFuzzer.
extern crate self as libfuzzer_sys;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

macro_rules! fuzz_target {
    (|$bytes:ident: $kind:ty| $body:block) => {
        pub(crate) fn run(bytes: &[u8]) {
            $crate::given(bytes, |$bytes: $kind| $body);
        }
    };
}
pub(crate) use fuzz_target;

/// The targets as libFuzzer has them.
#[path = "../fuzz/fuzz_targets"]
#[expect(
    unused_attributes,
    unused_imports,
    clippy::as_conversions,
    clippy::pedantic,
    reason = "each is a program of its own for libFuzzer, and takes its macro from there"
)]
mod targets {
    pub(crate) mod cda;
    pub(crate) mod complaint;
    pub(crate) mod config;
    pub(crate) mod deidentify;
    pub(crate) mod fhir;
    pub(crate) mod jwt;
    pub(crate) mod metadata;
    pub(crate) mod multipart;
    pub(crate) mod order;
    pub(crate) mod pdu;
    pub(crate) mod people;
    pub(crate) mod pixels;
    pub(crate) mod plan;
    pub(crate) mod sealed;
    pub(crate) mod segment;
    pub(crate) mod signed;
    pub(crate) mod structure;
    pub(crate) mod transcode;
}

/// What libFuzzer gives a target for bytes: themselves, or the text that they are.
trait Given<'a>: Sized {
    fn of(bytes: &'a [u8]) -> Option<Self>;
}

impl<'a> Given<'a> for &'a [u8] {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        Some(bytes)
    }
}

impl<'a> Given<'a> for &'a str {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok()
    }
}

fn given<'a, G: Given<'a>>(bytes: &'a [u8], run: impl FnOnce(G)) {
    if let Some(given) = G::of(bytes) {
        run(given);
    }
}

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 18] = [
    ("cda", targets::cda::run),
    ("complaint", targets::complaint::run),
    ("config", targets::config::run),
    ("deidentify", targets::deidentify::run),
    ("fhir", targets::fhir::run),
    ("jwt", targets::jwt::run),
    ("metadata", targets::metadata::run),
    ("multipart", targets::multipart::run),
    ("order", targets::order::run),
    ("pdu", targets::pdu::run),
    ("people", targets::people::run),
    ("pixels", targets::pixels::run),
    ("plan", targets::plan::run),
    ("sealed", targets::sealed::run),
    ("segment", targets::segment::run),
    ("signed", targets::signed::run),
    ("structure", targets::structure::run),
    ("transcode", targets::transcode::run),
];

/// A target that ends the process where it fails: a real node, whose tasks panic by themselves.
const ENDS: &str = "pdu";
/// Seconds for each target, unless told.
const SECONDS: u64 = 6;
/// What the first bending begins with, unless told.
const SEED: u64 = 20_261_130;
/// Bytes of an input at most.
const BYTES_MAX: usize = 64 * 1024;
/// Bendings of one input at most.
const BENT_MAX: u64 = 8;
/// What parsers of these formats look for.
const WORDS: [&[u8]; 28] = [
    b"\0",
    b"\xFF\xFF\xFF\xFF",
    b"\xFF\xFF\xFF\x7F",
    b"\xFE\xFF\x00\xE0",
    b"\xFE\xFF\x0D\xE0",
    b"DICM",
    b"SQ",
    b"UN\0\0",
    b"\r\n\r\n",
    b"--b\r\n",
    b"--b--",
    b"{",
    b"}",
    b"[[",
    b"null",
    b"-1",
    b"1e999",
    b"\\ud800",
    b"<!DOCTYPE a [<!ENTITY b \"c\">]>",
    b"&#0;",
    b"]]>",
    b"nullFlavor=\"UNK\"",
    "\u{3000}\u{B7}".as_bytes(),
    "\u{20BB7}".as_bytes(),
    b"\xC3\x28",
    b"|",
    b"0000-00-00",
    b"18446744073709551616",
];

fn main() -> ExitCode {
    let mut seconds = Duration::from_secs(SECONDS);
    let mut seed = SEED;
    let mut chosen = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.parse().ok()).expect("a whole number");
        match argument.as_str() {
            "--seconds" => seconds = Duration::from_secs(number()),
            "--seed" => seed = number(),
            // What `cargo test` hands to every test binary.
            flag if flag.starts_with('-') => {}
            name => chosen.push(name.to_owned()),
        }
    }
    // What ends the process where it fails comes last, alone, and is on the disk before it is tried.
    let ends = |name: &str| name == ENDS;
    // A filter of `cargo test` that names none of these is meant for other tests.
    let all = chosen.is_empty();
    let mut waiting: Vec<Target> =
        TARGETS.into_iter().filter(|(name, _)| all || chosen.iter().any(|n| n == name)).collect();
    if waiting.is_empty() {
        println!("nothing was run: no target is called {}", chosen.join(" or "));
    }
    let last: Vec<Target> = waiting.extract_if(.., |(name, _)| ends(name)).collect();
    waiting.reverse();
    let waiting = Mutex::new(waiting);
    let failed = Mutex::new(0_u32);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().pop();
                    let Some((name, run)) = next else { return };
                    if let Err(kept) = bend((name, run), seconds, seed) {
                        println!("{name}: FAILED on {}", kept.display());
                        *failed.lock().unwrap() += 1;
                    }
                }
            });
        }
    });
    for target in last {
        bend(target, seconds, seed).expect("it would have ended");
    }
    if *failed.lock().unwrap() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a target on its seeds and on what becomes of them; where it fails, gives the file it failed on.
fn bend((name, run): Target, seconds: Duration, seed: u64) -> Result<(), PathBuf> {
    let seeds = seeds(name);
    let mut chance = Chance(seed);
    let (began, mut runs) = (Instant::now(), 0_u64);
    while began.elapsed() < seconds || runs < seeds.len().try_into().unwrap() {
        // First each seed as it is.
        let whole = usize::try_from(runs).ok().and_then(|number| seeds.get(number));
        let input = whole.cloned().unwrap_or_else(|| bent(&seeds, &mut chance));
        if name == ENDS {
            keep(name, runs, &input);
        }
        if catch_unwind(AssertUnwindSafe(|| run(&input))).is_err() {
            return Err(keep(name, runs, &input));
        }
        runs += 1;
    }
    println!("{name}: {runs} inputs from {} seeds", seeds.len());
    Ok(())
}

fn keep(name: &str, number: u64, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzzed");
    fs::create_dir_all(&folder).unwrap();
    let number = if name == ENDS { "last".to_owned() } else { number.to_string() };
    let kept = folder.join(format!("{name}-{number}"));
    fs::write(&kept, input).unwrap();
    kept
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no seeds", folder.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// `xorshift64*`, which is enough to bend bytes with.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.max(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(drawn).unwrap() % end.max(1)
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = self.below(length + 1);
        // Mostly short, so that most of an input stays what it was.
        let most = if self.below(4) == 0 { length - from } else { (length - from).min(16) };
        from..from + self.below(most + 1)
    }
}

fn bent(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut input = seeds[chance.below(seeds.len())].clone();
    for _ in 0..=chance.below(usize::try_from(BENT_MAX).unwrap()) {
        let place = chance.below(input.len() + 1);
        match chance.below(8) {
            0 if place < input.len() => input[place] ^= 1 << chance.below(8),
            1 if place < input.len() => input[place] = u8::try_from(chance.below(256)).unwrap(),
            2 => {
                let word = WORDS[chance.below(WORDS.len())];
                input.splice(place..place, word.iter().copied());
            }
            3 => {
                let word = WORDS[chance.below(WORDS.len())];
                let end = (place + word.len()).min(input.len());
                input.splice(place..end, word.iter().copied());
            }
            4 => drop(input.drain(chance.range(input.len()))),
            5 => {
                let again = input[chance.range(input.len())].to_vec();
                input.splice(place..place, again);
            }
            6 => {
                let other = &seeds[chance.below(seeds.len())];
                let part = other[chance.range(other.len())].to_vec();
                input.splice(place..place, part);
            }
            _ if chance.below(16) == 0 => input.truncate(place),
            _ => {}
        }
    }
    input.truncate(BYTES_MAX);
    input
}
