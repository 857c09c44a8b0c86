//! `cargo bench --bench cda`: reading and writing CDA: the shared C-CDA documents (74 to 134 KB) and
//! the Chinese ones of the tests (8 to 17 KB), and documents made to be slow, 8 MiB each.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run stops")]

use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use xiangyi::sharing::discharge::cda::{read, write};

/// Size of a document that is made to be slow.
const SLOW_BYTES: usize = 8 << 20;

fn documents(folder: &str, beginning: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(beginning) && path.extension().is_some_and(|end| end == "xml")
    });
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn bytes(documents: &[Vec<u8>]) -> u64 {
    documents.iter().map(|document| u64::try_from(document.len()).unwrap()).sum()
}

fn ordinary(c: &mut Criterion) {
    for (name, folder, beginning) in [
        ("18 C-CDA documents of vendors", "../shared/data/records/ccda", ""),
        ("4 Chinese documents", "tests/data/records", "wst500"),
    ] {
        let documents = documents(folder, beginning);
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(bytes(&documents)));
        group.bench_function("read", |b| {
            b.iter(|| documents.iter().for_each(|document| drop(read(document).unwrap())));
        });
        let records: Vec<_> =
            documents.iter().map(|document| read(document).unwrap().record).collect();
        group.throughput(Throughput::Elements(u64::try_from(documents.len()).unwrap()));
        group.bench_function("write", |b| {
            b.iter(|| records.iter().for_each(|record| drop(write(record))));
        });
        group.finish();
    }
}

/// `piece` over and over within a sound document, behind `mark`.
fn swollen(mark: &str, piece: &str) -> Vec<u8> {
    let sound = documents("tests/data/records", "wst500-53").remove(0);
    let sound = String::from_utf8(sound).unwrap();
    let sound = sound.replace("<structuredBody>", "<structuredBody ID='T'>");
    let at = sound.find(mark).unwrap() + mark.len();
    let (before, after) = sound.split_at(at);
    let many = piece.repeat(SLOW_BYTES / piece.len());
    format!("{before}{many}{after}").into_bytes()
}

fn slow(c: &mut Criterion) {
    let de = "<entry><observation classCode='OBS' moodCode='EVN'><code code='DE06.00.296.00' \
              displayName='诊疗过程描述'/><value>好转</value></observation></entry>";
    let referring = "<entry><observation classCode='OBS' moodCode='EVN'><code \
                     code='DE06.00.296.00'/><value><reference value='#T'/></value></observation></entry>";
    // Long enough for the limit on elements not to be met.
    let different = "<a x='1234567890123'/><b x='1234567890123'/><c x='1234567890123'/>";
    let section =
        "<component><section><code code='8648-8'/><text>好转</text></section></component>";
    let mut group = c.benchmark_group("8 MiB made to be slow");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(u64::try_from(SLOW_BYTES).unwrap()));
    for (name, mark, piece) in [
        ("unknown elements", "<structuredBody ID='T'>", "<a b='cccccccccccccc'/>"),
        ("unknown elements with different names", "<structuredBody ID='T'>", different),
        ("identifiers", "<patientRole classCode=\"PAT\">", "<id root='1.2.3' extension='4'/>"),
        ("sections", "<structuredBody ID='T'>", section),
        ("texts of one element", "<text/>", de),
        ("references to the whole body", "<text/>", referring),
        ("text", "<title>", "出院"),
    ] {
        let document = swollen(mark, piece);
        group.bench_with_input(BenchmarkId::from_parameter(name), &document, |b, document| {
            b.iter(|| read(document).is_ok());
        });
    }
    group.finish();
}

criterion_group!(benches, ordinary, slow);
criterion_main!(benches);
