//! The index at size: memory, speed, and how many are linked rightly.

use std::path::Path;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest as _, Sha256};
use xiangyi::sharing::patient::{
    BirthDate, Digest, Found, IdentifierKind, Keyer, PeopleIndex, PeopleLoader, PeopleTables,
    Person, Prepared, Undecided, prepare_leniently,
};
use xiangyi::tables::files::Files;

use super::region::{Dice, MEMBERS, Region, Slips};

/// Questions of each kind.
const QUESTIONS: u64 = 50_000;
/// In one household of so many one member is not registered.
const UNREGISTERED_EVERY: u64 = 20;

/// A keyed hash; the key stands here because nobody is real.
struct BenchKeyer;

impl Keyer for BenchKeyer {
    fn digest(&self, kind: IdentifierKind, number: &str) -> Digest {
        let hash = Sha256::digest(format!("bench {kind:?} {number}"));
        std::array::from_fn(|at| hash[at])
    }
}

/// Whether the person of a number is in the index.
fn is_registered(number: u64) -> bool {
    let (house, member) = (number / MEMBERS, number % MEMBERS);
    house % UNREGISTERED_EVERY != 0 || member != house / UNREGISTERED_EVERY % MEMBERS
}

/// Fills an index with `people`, and measures at each step on the way.
pub(crate) fn run((people, seed): (u64, u64), villages: &Path, models: &Path) {
    let tables = PeopleTables::load(&files(models)).unwrap();
    let region = Region::new(seed, villages, &tables);
    let mut index = PeopleIndex::new();
    let before = resident_bytes();
    let steps: Vec<u64> = [250_000, 500_000, 1_000_000, 2_000_000, 4_000_000]
        .into_iter()
        .filter(|step| *step < people)
        .chain([people])
        .collect();
    let mut number = 0;
    for step in steps {
        let (mut spent, mut slowest) = (0.0, 0.0_f64);
        let mut added = 0;
        while index.len() < usize::try_from(step).unwrap() {
            if is_registered(number) {
                let person = region.person(number);
                let prepared = prepare_leniently(&person, &BenchKeyer, &tables).0.unwrap();
                let began = Instant::now();
                index.insert(number, &prepared).unwrap();
                let took = began.elapsed().as_secs_f64();
                spent += took;
                slowest = slowest.max(took);
                added += 1;
            }
            number += 1;
        }
        let count = index.len() as f64;
        println!("\n{step} people");
        println!(
            "  memory: {:.0} MB counted, {:.0} MB resident more than before; {:.0} bytes a person, {:.2} keys, {:.2} names",
            index.memory_bytes() as f64 / 1e6,
            (resident_bytes() - before) as f64 / 1e6,
            index.memory_bytes() as f64 / count,
            index.keys() as f64 / count,
            index.names() as f64 / count,
        );
        println!(
            "  inserting: {:.1} us on average, {:.1} ms at most",
            spent / f64::from(added) * 1e6,
            slowest * 1e3
        );
        measure(&index, &tables, &region, number, false);
        measure_common(&index, &tables);
    }
}

/// Questions about those who are there, relatives who are not, and strangers.
fn measure(index: &PeopleIndex, tables: &PeopleTables, region: &Region, end: u64, show: bool) {
    for (slips_name, slips) in [("usual", Slips::USUAL), ("many", Slips::MANY)] {
        let mut dice = Dice::of(77, end);
        let pick = |dice: &mut Dice, who: &str| loop {
            let number = match who {
                "registered" => dice.roll(end),
                "relative" => {
                    let house = dice.roll(end / MEMBERS / UNREGISTERED_EVERY) * UNREGISTERED_EVERY;
                    house * MEMBERS + house / UNREGISTERED_EVERY % MEMBERS
                }
                _ => 1 << 40 | dice.roll(1 << 39),
            };
            if (who == "registered") == (number < end && is_registered(number)) {
                return number;
            }
        };
        for who in ["registered", "relative", "stranger"] {
            let mut tallies = [Tally::default(), Tally::default()];
            let (mut times, mut work, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..QUESTIONS {
                let number = pick(&mut dice, who);
                let sent = region.sent(number, &slips);
                let (prepared, _) = prepare_leniently(&sent, &BenchKeyer, tables);
                let Some(prepared) = prepared else { continue };
                let (began, worked) = (Instant::now(), worked_ms());
                let found = index.find(tables, &prepared, &Undecided);
                work.push(worked_ms() - worked);
                times.push(began.elapsed().as_secs_f64() * 1e3);
                sizes.push(index.candidates(&prepared).len() as f64);
                let has_id = prepared.digest(IdentifierKind::ResidentId).is_some();
                let right = (who == "registered").then_some(number);
                tallies[usize::from(!has_id)].count(&found, right);
                if let Found::Linked(one) = &found
                    && show
                    && Some(one.id) != right
                {
                    let kept = region.person(one.id);
                    println!("  WRONG {} {}", one.explanation.zh(), number);
                    for person in [&sent, &region.person(number), &kept] {
                        println!(
                            "    {} {:?} {:?} {:?} {:?} {:?}",
                            person.name,
                            person.birth_date.map(|d| (d.year(), d.month(), d.day())),
                            person.sex,
                            person.phone,
                            person.village,
                            person.address
                        );
                    }
                }
            }
            tell(&format!("{slips_name} slips, {who}"), times, work, sizes);
            println!("    with resident id:    {}", tallies[0]);
            println!("    without resident id: {}", tallies[1]);
        }
    }
}

/// The questions that lead to most people: common names of which only a year is known.
fn measure_common(index: &PeopleIndex, tables: &PeopleTables) {
    let (mut times, mut work, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for surname in "王李张刘陈杨黄吴赵周徐孙".chars() {
        for given in "伟强勇军明秀英芳兰娟".chars() {
            for year in (1950..2000).step_by(10) {
                let person = Person {
                    name: format!("{surname}{given}"),
                    birth_date: BirthDate::new(year, None, None),
                    ..Person::default()
                };
                let prepared = prepare_leniently(&person, &BenchKeyer, tables).0.unwrap();
                let (began, worked) = (Instant::now(), worked_ms());
                let _ = index.find(tables, &prepared, &Undecided);
                work.push(worked_ms() - worked);
                times.push(began.elapsed().as_secs_f64() * 1e3);
                sizes.push(index.candidates(&prepared).len() as f64);
            }
        }
    }
    tell("common names and a year only", times, work, sizes);
}

/// Prints how long questions took, by the clock and in work of the processor, which a busy machine
/// does not change, and with how many people they were compared.
fn tell(what: &str, mut times: Vec<f64>, mut work: Vec<f64>, mut sizes: Vec<f64>) {
    for list in [&mut times, &mut work, &mut sizes] {
        list.sort_by(f64::total_cmp);
    }
    println!(
        "  {what}: find p50 {:.3} ms, p99 {:.3} ms, worst {:.2} ms; processor p50 {:.3} ms, p99 {:.3} ms, worst {:.2} ms; candidates p50 {:.0}, p99 {:.0}, most {:.0}",
        at(&times, 0.5),
        at(&times, 0.99),
        at(&times, 1.0),
        at(&work, 0.5),
        at(&work, 0.99),
        at(&work, 1.0),
        at(&sizes, 0.5),
        at(&sizes, 0.99),
        at(&sizes, 1.0),
    );
}

/// Milliseconds that this thread has worked.
fn worked_ms() -> f64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec as f64 * 1e3 + spent.tv_nsec as f64 / 1e6
}

/// Outcomes of questions.
#[derive(Default)]
struct Tally {
    asked: u64,
    linked_right: u64,
    linked_wrong: u64,
    review_right: u64,
    review_other: u64,
    new: u64,
}

impl Tally {
    fn count(&mut self, found: &Found, right: Option<u64>) {
        self.asked += 1;
        match found {
            Found::Linked(one) if Some(one.id) == right => self.linked_right += 1,
            Found::Linked(_) => self.linked_wrong += 1,
            Found::Review(some) if some.iter().any(|one| Some(one.id) == right) => {
                self.review_right += 1;
            }
            Found::Review(_) => self.review_other += 1,
            Found::New(_) => self.new += 1,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = |n: u64| 100.0 * n as f64 / self.asked.max(1) as f64;
        write!(
            f,
            "{} asked: linked right {:.2} %, linked wrong {} ({:.3} %), review with the right one {:.2} %, review of others {:.2} %, new {:.2} %",
            self.asked,
            share(self.linked_right),
            self.linked_wrong,
            share(self.linked_wrong),
            share(self.review_right),
            share(self.review_other),
            share(self.new),
        )
    }
}

fn at(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

fn files(models: &Path) -> Files {
    let mut files = Files::new();
    for entry in std::fs::read_dir(models.join("people")).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("people/{}", path.file_name().unwrap().to_string_lossy());
        files.insert(name, std::fs::read(&path).unwrap());
    }
    files
}

/// How long it takes to fill an index of `people` at once, from blobs, as a hub does at its start.
pub(crate) fn load((people, seed): (u64, u64), villages: &Path, models: &Path, show: bool) {
    let tables = PeopleTables::load(&files(models)).unwrap();
    let region = Region::new(seed, villages, &tables);
    let (before, mut spent) = (resident_bytes(), 0.0);
    let mut loader = PeopleLoader::new();
    let mut numbers = (0..).filter(|number| is_registered(*number));
    let (mut left, mut end) = (people, 0);
    while left > 0 {
        let blobs: Vec<(u64, Vec<u8>)> = numbers
            .by_ref()
            .take(left.min(10_000) as usize)
            .map(|n| {
                let person = region.person(n);
                (n, prepare_leniently(&person, &BenchKeyer, &tables).0.unwrap().to_bytes())
            })
            .collect();
        let began = Instant::now();
        for (number, blob) in &blobs {
            loader.add(*number, &Prepared::from_bytes(blob).unwrap()).unwrap();
        }
        spent += began.elapsed().as_secs_f64();
        left -= blobs.len() as u64;
        end = blobs.last().map_or(end, |(number, _)| number + 1);
    }
    let began = Instant::now();
    let index = loader.finish();
    println!(
        "{} people loaded from blobs: {spent:.1} s and {:.1} s to put in order; {:.0} MB counted, {:.0} MB resident more than before",
        index.len(),
        began.elapsed().as_secs_f64(),
        index.memory_bytes() as f64 / 1e6,
        (resident_bytes() - before) as f64 / 1e6,
    );
    measure(&index, &tables, &region, end, show);
    measure_common(&index, &tables);
}

/// Bytes of a prepared person as it is kept, on average.
pub(crate) fn blob_bytes(seed: u64, villages: &Path, models: &Path) -> f64 {
    let tables = PeopleTables::load(&files(models)).unwrap();
    let region = Region::new(seed, villages, &tables);
    let prepared =
        |number| prepare_leniently(&region.person(number), &BenchKeyer, &tables).0.unwrap();
    let bytes: Vec<usize> = (0..1_000).map(|n| Prepared::to_bytes(&prepared(n)).len()).collect();
    bytes.iter().sum::<usize>() as f64 / bytes.len() as f64
}
