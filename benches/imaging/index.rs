//! The index of studies at size: fills one with generated studies, then asks it what people ask.
//!
//! `cargo bench --bench index -- [--studies N] [--db FILE | --postgres URL] [--schema NAME]
//! [--sealed]`. With `--db` the database stays, and a later run asks it without filling it again; so does
//! the schema (`bench` unless named) with `--postgres`, whose URL `scripts/postgres start` prints. With
//! `--sealed` the server has its patients sealed, always with the same key. Prints medians and the worst
//! of the repetitions.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a benchmark: what goes wrong ends it, and it prints what it measures"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dicom_dictionary_std::tags;
use tokio_util::task::TaskTracker;
use xiangyi::app::imaging::ports::{IndexEntry, StudyIndex};
use xiangyi::sharing::imaging::header::{Header, Instance, Patient, Series, Study};
use xiangyi::sharing::imaging::object::{Digest, InstanceUids, Location, ObjectHead};
use xiangyi::sharing::imaging::query::{Condition, Level, Matching, Query};
use xiangyi::sharing::sealing::cipher::Cipher;
use xiangyi::sharing::sealing::keyring::{DataKey, Keyring, KnownMaster, Master};
use xiangyi::sharing::sealing::{Fault, Secret};
use xiangyi::store::{postgres, sqlite};

/// Studies unless asked otherwise.
const STUDIES: u64 = 1_000_000;
/// Instances added at once while it is filled.
const BATCH: u64 = 256;
/// Times each question is asked.
const REPEAT: usize = 9;

const SURNAMES: [(&str, &str); 12] = [
    ("王", "WANG"),
    ("李", "LI"),
    ("张", "ZHANG"),
    ("刘", "LIU"),
    ("陈", "CHEN"),
    ("杨", "YANG"),
    ("黄", "HUANG"),
    ("赵", "ZHAO"),
    ("吴", "WU"),
    ("周", "ZHOU"),
    ("欧阳", "OUYANG"),
    ("占", "ZHAN"),
];
const GIVEN: [(&str, &str); 20] = [
    ("伟", "WEI"),
    ("芳", "FANG"),
    ("娜", "NA"),
    ("敏", "MIN"),
    ("静", "JING"),
    ("丽", "LI"),
    ("强", "QIANG"),
    ("磊", "LEI"),
    ("军", "JUN"),
    ("洋", "YANG"),
    ("勇", "YONG"),
    ("艳", "YAN"),
    ("杰", "JIE"),
    ("娟", "JUAN"),
    ("涛", "TAO"),
    ("明", "MING"),
    ("超", "CHAO"),
    ("秀", "XIU"),
    ("霞", "XIA"),
    ("平", "PING"),
];
const MODALITIES: [&str; 6] = ["CT", "DX", "US", "MR", "CR", "DX"];
const PARTS: [&str; 12] = [
    "胸部",
    "腹部",
    "腰椎",
    "颈椎",
    "膝关节",
    "盆腔",
    "心脏",
    "甲状腺",
    "肝胆胰脾",
    "四肢",
    "鼻窦",
    "乳腺",
];
const WAYS: [&str; 5] = ["平扫", "增强", "正位", "正侧位", "三维重建"];

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.roll(list.len() as u64)).unwrap()]
    }
}

fn entry(number: u64) -> IndexEntry {
    let mut dice = Dice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    dice.roll(2);
    let person = dice.roll(600_000);
    let mut names = Dice((person + 1).wrapping_mul(0x2545_F491_4F6C_DD1D) | 1);
    names.roll(2);
    let (surname, sound) = names.of(&SURNAMES);
    let (one, one_sound) = names.of(&GIVEN);
    let (two, two_sound) = names.of(&GIVEN);
    let modality = dice.of(&MODALITIES);
    let day = dice.roll(5 * 360);
    let date = format!("{}{:02}{:02}", 2021 + day / 360, day % 360 / 30 + 1, day % 30 + 1);
    let description = if dice.roll(20_000) == 0 {
        "颅脑外伤平扫".to_owned()
    } else {
        format!("{}{}", dice.of(&PARTS), dice.of(&WAYS))
    };
    let uid = |kind: u64| format!("1.2.826.0.1.3680043.10.{kind}.{number}");
    let uids = InstanceUids { study: uid(1), series: uid(2), instance: uid(3) };
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.wrapping_mul(0xD6E8_FEB8_6659_FD93).to_be_bytes());
    let class = "1.2.840.10008.5.1.4.1.1.2".to_owned();
    IndexEntry {
        digest: Digest(digest),
        head: ObjectHead {
            uids: uids.clone(),
            sop_class: class.clone(),
            transfer_syntax: "1.2.840.10008.1.2.1".to_owned(),
            source: "BENCH".to_owned(),
            received_ms: 1_700_000_000_000,
            meta: Vec::new(),
        },
        location: Location {
            segment: number / 2000,
            offset: number % 2000 * 530_000,
            body: number % 2000 * 530_000 + 300,
            length: 526_000,
        },
        header: Header {
            patient: Patient {
                id: format!("P{person:07}"),
                name: format!("{sound}^{one_sound}{two_sound}={surname}^{one}{two}"),
                birth_date: format!("19{:02}0{}15", person % 90 + 10, person % 9 + 1),
                sex: if person.is_multiple_of(2) { "M" } else { "F" }.to_owned(),
                ..Patient::default()
            },
            study: Study {
                uid: uids.study,
                date,
                time: format!("{:02}{:02}00", dice.roll(24), dice.roll(60)),
                accession_number: format!("A{number:08}"),
                id: number.to_string(),
                description,
                ..Study::default()
            },
            series: Series {
                uid: uids.series,
                modality: modality.to_owned(),
                number: "1".to_owned(),
                ..Series::default()
            },
            instance: Instance {
                sop_class: class,
                uid: uids.instance,
                number: "1".to_owned(),
                rows: 512,
                columns: 512,
                frames: 1,
                bits_allocated: 16,
                ..Instance::default()
            },
            ..Header::default()
        },
        apart: false,
    }
}

fn questions() -> Vec<(&'static str, Query)> {
    let query = |conditions: Vec<(dicom_core::Tag, Matching)>| Query {
        level: Level::Study,
        conditions: conditions
            .into_iter()
            .map(|(tag, matching)| Condition { tag, matching })
            .collect(),
        combined_date_time: false,
        offset: 0,
        limit: 100,
    };
    let like = |text: &str| Matching::Wildcard(text.to_owned());
    let is = |text: &str| Matching::Single(text.to_owned());
    let name = |text: &str| query(vec![(tags::PATIENT_NAME, like(text))]);
    let described = |text: &str| query(vec![(tags::STUDY_DESCRIPTION, like(text))]);
    let month = || {
        let (from, to) = ("20230301".to_owned(), "20230331".to_owned());
        vec![
            (tags::STUDY_DATE, Matching::Range { from, to }),
            (tags::MODALITIES_IN_STUDY, is("CT")),
        ]
    };
    vec![
        ("patient ID", query(vec![(tags::PATIENT_ID, is("P0012345"))])),
        ("accession number", query(vec![(tags::ACCESSION_NUMBER, is("A00012345"))])),
        ("name *伟*", name("*伟*")),
        ("name *张伟*", name("*张伟*")),
        ("name 欧阳*", name("欧阳*")),
        ("name *ZHANG*", name("*ZHANG*")),
        ("name that nobody has", name("*不存*")),
        ("name sounds like zhang wei", {
            query(vec![(tags::PATIENT_NAME, Matching::Fuzzy("zhang wei".to_owned()))])
        }),
        ("newest, 100", query(vec![])),
        ("newest, OFFSET 10,000", Query { offset: 10_000, ..query(vec![]) }),
        ("a month of CT, 100", query(month())),
        ("a month of CT, all", Query { limit: 10_000, ..query(month()) }),
        ("description *胸部*", described("*胸部*")),
        ("description *颅脑* (1 in 20,000)", described("*颅脑*")),
        ("description that nothing has", described("*不存在*")),
    ]
}

fn key() -> DataKey {
    let master = KnownMaster::new(Cipher::Aes256Gcm, Secret::new(vec![7; 32])).unwrap();
    let masters: [&dyn Master; 1] = [&master];
    let random = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|_| Fault::Random);
    let mut ring = Keyring::new(Cipher::Aes256Gcm, &masters, &random).unwrap();
    ring.add("studies", Secret::new(vec![8; 32]), 0).unwrap()
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let studies = value("--studies").map_or(STUDIES, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = value("--db").map_or_else(|| folder.path().join("index.db"), PathBuf::from);
    let tracker = TaskTracker::new();
    let index: Arc<dyn StudyIndex> = if let Some(url) = value("--postgres") {
        let server = postgres::Server::parse(&url).unwrap();
        let schema = value("--schema").unwrap_or_else(|| "bench".to_owned());
        let key = arguments.iter().any(|argument| argument == "--sealed").then(key);
        let opened =
            postgres::studies::StudyIndexStore::open(server, &schema, 4, key.as_ref(), &tracker);
        Arc::new(Box::pin(opened).await.unwrap())
    } else {
        Arc::new(sqlite::studies::StudyIndexStore::open(&path, &tracker).await.unwrap())
    };
    let there = index.counts().await.unwrap().instances;
    let began = Instant::now();
    let mut next = there;
    while next < studies {
        let end = (next + BATCH).min(studies);
        index.add((next..end).map(entry).collect()).await.unwrap();
        next = end;
    }
    if there < studies {
        let each = began.elapsed().as_secs_f64() * 1e6 / (studies - there) as f64;
        let a_second = 1e6 / each;
        println!(
            "filled to {studies} studies: {each:.0} µs a study, {a_second:.0} a second, in batches \
             of {BATCH}"
        );
    }
    let mut alone = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        index.add(vec![entry(next)]).await.unwrap();
        alone.push(began.elapsed());
        next += 1;
    }
    print("one instance of a new study", alone, "");
    for (what, query) in questions() {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..REPEAT {
            let began = Instant::now();
            found = index.find(query.clone()).await.unwrap().len();
            times.push(began.elapsed());
        }
        print(what, times, &format!("{found} answers"));
    }
    drop(index);
    tracker.close();
    tracker.wait().await;
}

fn print(what: &str, mut times: Vec<Duration>, note: &str) {
    times.sort_unstable();
    let ms = |time: &Duration| time.as_secs_f64() * 1e3;
    let (median, worst) = (&times[times.len() / 2], &times[times.len() - 1]);
    println!("{what:<36} {:>9.3} ms, worst {:>9.3}  {note}", ms(median), ms(worst));
}
