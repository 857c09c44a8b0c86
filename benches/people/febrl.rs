//! The published FEBRL sets on the engine of `sharing::patient::linkage`: other fields, no table.
//!
//! Everything is learnt from sets 1 to 3 (without their true links, which only score them); set 4,
//! two files of 5,000 of which each record has one counterpart, is linked once at the end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Instant;

use xiangyi::sharing::patient::linkage::{
    Field, FitOptions, Fitted, Level, Link, Model, Pattern, edits_level, fit, one_to_one,
    similarity_level,
};

/// Columns after the record's id, in the order of the files.
const COLUMNS: [&str; 10] = [
    "given_name",
    "surname",
    "street_number",
    "address_1",
    "address_2",
    "suburb",
    "postcode",
    "state",
    "date_of_birth",
    "soc_sec_id",
];
/// Jaro-Winkler similarities of the levels of a text.
const LIMITS: [f64; 2] = [0.92, 0.80];
/// Similarity from which two texts that changed places are the same.
const SWAPPED: f64 = 0.92;
/// Columns whose values are adjusted by how common they are.
const BY_FREQUENCY: [usize; 3] = [0, 1, 5];
/// Columns that may have changed places with one another.
const PLACES: [(usize, usize); 2] = [(0, 1), (3, 4)];

/// A record: its id, and its values, empty where it lacks one.
struct Record {
    id: String,
    values: [String; 10],
}

/// How a column is compared.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Slips(usize),
}

fn kind(column: usize) -> Kind {
    match column {
        0 | 1 | 3 | 4 | 5 => Kind::Text,
        2 | 6 | 7 => Kind::Slips(1),
        _ => Kind::Slips(2),
    }
}

fn read(path: &Path) -> Vec<Record> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader
        .records()
        .map(|row| {
            let row = row.unwrap();
            let cell = |n: usize| row.get(n).unwrap_or_default().trim().to_lowercase();
            Record { id: cell(0), values: std::array::from_fn(|n| cell(n + 1)) }
        })
        .collect()
}

fn read_links(path: &Path) -> HashSet<(String, String)> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader
        .records()
        .map(|row| {
            let row = row.unwrap();
            ordered(row.get(0).unwrap(), row.get(1).unwrap())
        })
        .collect()
}

fn ordered(a: &str, b: &str) -> (String, String) {
    if a < b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

/// Probabilities to start from: levels of a person fall fast, levels of two persons rise.
fn start() -> Model {
    let fields = COLUMNS.iter().enumerate().map(|(column, id)| {
        let swaps = PLACES.iter().any(|(a, b)| *a == column || *b == column);
        let levels = match (kind(column), swaps) {
            (Kind::Text, true) => 5,
            (Kind::Text, false) => 4,
            (Kind::Slips(most), _) => most + 2,
        };
        let last = levels - 1;
        let levels = (0..levels).map(|n| Level {
            id: n.to_string(),
            zh: String::new(),
            m: if n == 0 { 0.8 } else { 0.2 / last as f64 },
            u: if n == last { 0.9 } else { 0.1 / last as f64 },
        });
        Field { id: (*id).to_owned(), zh: String::new(), levels: levels.collect() }
    });
    Model::new(fields.collect()).unwrap()
}

fn compare(a: &Record, b: &Record) -> Pattern {
    let mut pattern = Pattern::new();
    for column in 0..COLUMNS.len() {
        let (x, y) = (&a.values[column], &b.values[column]);
        let level = match kind(column) {
            Kind::Slips(most) => edits_level(x, y, most),
            Kind::Text => {
                let own = similarity_level(x, y, &LIMITS);
                let other = PLACES.iter().find_map(|(one, two)| match column {
                    column if column == *one => Some(*two),
                    column if column == *two => Some(*one),
                    _ => None,
                });
                match (own, other) {
                    // The level before the last is that of values that changed places.
                    (Some(level), Some(other)) if level > LIMITS.len() => {
                        let across = |s: &str, t: &str| {
                            similarity_level(s, t, &[SWAPPED]).is_some_and(|level| level < 2)
                        };
                        let swapped = across(x, &b.values[other]) || across(&a.values[other], y);
                        Some(if swapped { level } else { level + 1 })
                    }
                    (own, _) => own,
                }
            }
        };
        pattern = pattern.with(column, level);
    }
    pattern
}

/// How often each value of the columns in [`BY_FREQUENCY`] occurs, in shares.
fn frequencies<'r>(records: impl Iterator<Item = &'r Record>) -> HashMap<(usize, String), f64> {
    let mut counts: HashMap<(usize, String), f64> = HashMap::new();
    let mut all: BTreeMap<usize, f64> = BTreeMap::new();
    for record in records {
        for column in BY_FREQUENCY {
            if !record.values[column].is_empty() {
                *counts.entry((column, record.values[column].clone())).or_default() += 1.0;
                *all.entry(column).or_default() += 1.0;
            }
        }
    }
    for ((column, _), count) in &mut counts {
        *count /= all[column];
    }
    counts
}

/// Weight of a pair with its values' frequencies taken into account.
fn bits(
    model: &Model,
    shares: &HashMap<(usize, String), f64>,
    (a, b): (&Record, &Record),
    pattern: &Pattern,
) -> f64 {
    let adjust = |column: usize, level: &Level| {
        if level.id != "0" || !BY_FREQUENCY.contains(&column) {
            return 0.0;
        }
        debug_assert_eq!(a.values[column], b.values[column]);
        shares.get(&(column, a.values[column].clone())).map_or(0.0, |f| (level.u / f).log2())
    };
    model.weigh(pattern, adjust).bits
}

/// Pairs found, right and wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Score {
    right: usize,
    wrong: usize,
    missed: usize,
}

impl Score {
    fn of(found: &[(String, String)], truth: &HashSet<(String, String)>) -> Self {
        let right = found.iter().filter(|pair| truth.contains(*pair)).count();
        Self { right, wrong: found.len() - right, missed: truth.len() - right }
    }

    pub(crate) fn f1(self) -> f64 {
        let twice = 2.0 * self.right as f64;
        twice / (twice + self.wrong as f64 + self.missed as f64)
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = |of: usize| self.right as f64 / (self.right + of) as f64;
        write!(
            f,
            "F1 {:.5}  precision {:.5}  recall {:.5}  ({} right, {} wrong, {} missed)",
            self.f1(),
            share(self.wrong),
            share(self.missed),
            self.right,
            self.wrong,
            self.missed
        )
    }
}

/// Learns from sets 1 to 3, scores them, and, if asked, links set 4.
pub(crate) fn run(folder: &Path, test: bool, show: bool) {
    let began = Instant::now();
    let sets: Vec<Vec<Record>> =
        (1..=3).map(|n| read(&folder.join(format!("febrl{n}.csv")))).collect();
    let mut counts: HashMap<Pattern, u64> = HashMap::new();
    let mut near: Vec<Vec<(usize, usize, Pattern)>> = Vec::new();
    let rough = start();
    for set in &sets {
        let mut kept = Vec::new();
        for (i, a) in set.iter().enumerate() {
            for (j, b) in set.iter().enumerate().skip(i + 1) {
                let pattern = compare(a, b);
                *counts.entry(pattern).or_default() += 1;
                // What may be a link at all is kept to be scored.
                if rough.weigh(&pattern, |_, _| 0.0).bits > -10.0 {
                    kept.push((i, j, pattern));
                }
            }
        }
        near.push(kept);
    }
    println!("FEBRL 1-3: {} patterns, {:.1} s", counts.len(), began.elapsed().as_secs_f64());
    let mut counts: Vec<(Pattern, u64)> = counts.into_iter().collect();
    counts.sort_unstable();
    let fitted = fit(&rough, 0.0005, &counts, &FitOptions::default());
    println!(
        "learnt in {} rounds, share {:.6}, {:.1} s",
        fitted.rounds,
        fitted.share,
        began.elapsed().as_secs_f64()
    );
    if show {
        print_model(&fitted);
    }
    for (n, (set, near)) in sets.iter().zip(&near).enumerate() {
        let truth = read_links(&folder.join(format!("links{}.csv", n + 1)));
        let shares = frequencies(set.iter());
        let prior = prior(set.len());
        let mut found = Vec::new();
        for (i, j, pattern) in near {
            let (a, b) = (&set[*i], &set[*j]);
            let weight = bits(&fitted.model, &shares, (a, b), pattern) - prior;
            let pair = ordered(&a.id, &b.id);
            if show && truth.contains(&pair) != (weight >= 0.0) {
                println!("  {weight:.1} {pattern:?}\n    {:?}\n    {:?}", a.values, b.values);
            }
            if weight >= 0.0 {
                found.push(pair);
            }
        }
        println!("FEBRL {} (learnt on):  {}", n + 1, Score::of(&found, &truth));
    }
    if test {
        link_files(folder, &fitted);
        println!("{:.1} s in all", began.elapsed().as_secs_f64());
    }
}

/// Bits against a pair before anything is compared: one counterpart among `records`.
fn prior(records: usize) -> f64 {
    (records as f64).log2()
}

fn link_files(folder: &Path, fitted: &Fitted) {
    let (left, right) = (read(&folder.join("febrl4a.csv")), read(&folder.join("febrl4b.csv")));
    let shares = frequencies(left.iter().chain(&right));
    let prior = prior(right.len());
    let mut links = Vec::new();
    for (i, a) in left.iter().enumerate() {
        for (j, b) in right.iter().enumerate() {
            let pattern = compare(a, b);
            if fitted.model.weigh(&pattern, |_, _| 0.0).bits < prior - 20.0 {
                continue;
            }
            let bits = bits(&fitted.model, &shares, (a, b), &pattern) - prior;
            links.push(Link {
                left: u32::try_from(i).unwrap(),
                right: u32::try_from(j).unwrap(),
                bits,
            });
        }
    }
    let truth = read_links(&folder.join("links4.csv"));
    let score = |links: &[Link]| {
        let pairs: Vec<_> = links
            .iter()
            .map(|l| ordered(&left[l.left as usize].id, &right[l.right as usize].id))
            .collect();
        Score::of(&pairs, &truth)
    };
    let every: Vec<Link> = links.iter().copied().filter(|link| link.bits >= 0.0).collect();
    println!("FEBRL 4 (test), every pair over 0 bits:  {}", score(&every));
    println!("FEBRL 4 (test), each record once:        {}", score(&one_to_one(links, 0.0)));
}

fn print_model(fitted: &Fitted) {
    for field in fitted.model.fields() {
        println!("{}", field.id);
        for level in &field.levels {
            println!("  {} m {:.5} u {:.6} bits {:+.2}", level.id, level.m, level.u, level.bits());
        }
    }
}
