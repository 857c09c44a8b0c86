//! Patients that the server must not know: the suite once more, and what lies on the server.

use sqlx::{ConnectOptions as _, Row as _};

use super::*;
use crate::sharing::imaging::header::Patient;
use crate::sharing::sealing::cipher::Cipher;
use crate::sharing::sealing::{KeyId, Secret};
use crate::store::postgres::studies::sealed::SealedPatients;
use crate::tables::text::hex;

/// What stands in the patients below, and may not stand on the server.
const PLANTED: [&str; 6] = ["OUYANG", "欧阳", "PLANTED-ID-7", "19511103", "ouyang", "xiaoping"];

fn key(cipher: Cipher, byte: u8) -> DataKey {
    let secret = Secret::new(vec![byte; 32]);
    let id = KeyId::of(secret.expose());
    DataKey { id, purpose: "studies".to_owned(), cipher, made_ms: 0, secret }
}

fn aes() -> DataKey {
    key(Cipher::Aes256Gcm, 8)
}

fn planted(study: u32) -> IndexEntry {
    let mut entry = entry(study, 1, 1);
    entry.header.patient = Patient {
        id: "PLANTED-ID-7".to_owned(),
        name: "OUYANG^XIAOPING=欧阳^小萍".to_owned(),
        birth_date: "19511103".to_owned(),
        sex: "F".to_owned(),
        ..Patient::default()
    };
    entry
}

fn asked(tag: dicom_core::Tag, matching: Matching) -> Query {
    Query { conditions: vec![Condition { tag, matching }], ..all() }
}

/// Everything that the tables of the schema have, as text and as bytes.
async fn lies_there(scratch: &Scratch) -> String {
    let mut connection = scratch.server.options(&scratch.schema).connect().await.unwrap();
    let tables = sqlx::query(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut all = String::new();
    for table in tables {
        // Names of tables of this program.
        let name: String = table.get(0);
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT coalesce(string_agg(t::text, ' '), '') FROM \"{name}\" t"
        ));
        let text: String = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        all.push_str(&text);
        all.push('\n');
    }
    all
}

/// Files of the tables that had names, in hexadecimal digits.
async fn blocks(scratch: &Scratch) -> String {
    let mut connection = scratch.server.options(&scratch.schema).connect().await.unwrap();
    sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await.unwrap();
    sqlx::query_scalar(
        "SELECT string_agg(encode(pg_read_binary_file(pg_relation_filepath(t)), 'hex'), ' ') \
         FROM unnest('{patient,patient_patient_id,name_key,name_key_pkey}'::regclass[]) t",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap()
}

fn seen(text: &str) -> Vec<&'static str> {
    let has = |word: &str| text.contains(word) || text.contains(&hex(word.as_bytes()));
    PLANTED.into_iter().filter(|word| has(word)).collect()
}

/// What is asked of the planted patient, and whether it is found.
async fn is_found(index: &StudyIndexStore, studies: usize) {
    let single = |text: &str| Matching::Single(text.to_owned());
    let like = |text: &str| Matching::Wildcard(text.to_owned());
    for (tag, matching, found) in [
        (tags::PATIENT_ID, single("PLANTED-ID-7"), studies),
        (tags::PATIENT_ID, single("PLANTED-ID-8"), 0),
        (tags::PATIENT_ID, single("PLANTED-ID-7\0"), 0),
        (tags::PATIENT_ID, like("PLANTED-*"), studies),
        (tags::PATIENT_NAME, single("欧阳^小萍"), studies),
        (tags::PATIENT_NAME, like("*小萍*"), studies),
        (tags::PATIENT_NAME, like("*小平*"), 0),
        (tags::PATIENT_NAME, Matching::Fuzzy("ouyang xiao".to_owned()), studies),
        (tags::PATIENT_BIRTH_DATE, single("19511103"), studies),
        (
            tags::PATIENT_BIRTH_DATE,
            Matching::Range { from: "19510101".to_owned(), to: "19511102".to_owned() },
            0,
        ),
        (tags::PATIENT_SEX, single("f"), studies),
    ] {
        let question = asked(tag, matching);
        let text = format!("{question:?}");
        let answers = index.find(question).await.unwrap();
        assert_eq!(answers.len(), found, "{text}");
        for answer in answers {
            assert_eq!(answer.header.patient, planted(1).header.patient, "{text}");
        }
    }
}

#[tokio::test]
async fn the_index_with_sealed_patients_passes_the_suite() {
    suite(Some(&aes())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_under_load_loses_no_sealed_patient() {
    crashes_under_load("postgres-sealed-load", Some(&aes())).await;
}

#[tokio::test]
async fn the_server_knows_no_patient_and_each_is_found() {
    let Some(url) = url() else { return };
    for cipher in [Cipher::Aes256Gcm, Cipher::Sm4Gcm] {
        let (scratch, key) = (Scratch::new(&url), key(cipher, 8));
        let tracker = TaskTracker::new();
        let index = open_with(&scratch, &tracker, Some(&key)).await.unwrap();
        index.add(vec![planted(1), planted(2), entry(3, 1, 1)]).await.unwrap();
        is_found(&index, 2).await;
        assert_eq!(seen(&lies_there(&scratch).await), [""; 0]);
        assert!(!format!("{index:?}").contains("欧阳"));
        let of = index.patient_of("1.2.1").await.unwrap();
        assert_eq!(of.as_deref(), Some("PLANTED-ID-7"));
        let selection = crate::app::imaging::ports::Selection {
            patient_id: Some("PLANTED-ID-7".to_owned()),
            ..Default::default()
        };
        assert_eq!(index.instances(selection, 0, 9).await.unwrap().len(), 2);
        close(index, &tracker).await;

        // Who opens it again knows them.
        let tracker = TaskTracker::new();
        let index = open_with(&scratch, &tracker, Some(&key)).await.unwrap();
        is_found(&index, 2).await;
        index.add(vec![planted(4)]).await.unwrap();
        is_found(&index, 3).await;
        let counts = index.counts().await.unwrap();
        assert_eq!((counts.patients, counts.studies), (2, 4), "the same person all along");
        // And those of whom nothing is left are known no more.
        for study in [1, 2, 4] {
            is_found(&index, [3, 2, 2, 1][study - 1]).await;
            let gone = planted(u32::try_from(study).unwrap()).digest;
            index.remove(gone, 1).await.unwrap();
        }
        is_found(&index, 0).await;
        assert!(!index.sealed.as_ref().unwrap().knows("PLANTED-ID-7"));
        close(index, &tracker).await;
        scratch.drop().await;
    }
}

#[tokio::test]
async fn patients_that_lie_there_are_sealed_when_the_node_begins_to_encrypt() {
    if url().is_none() {
        return;
    }
    // A cluster of its own: whoever runs it may read its files.
    let (cluster, url) = Cluster::start("postgres-begins");
    let scratch = Scratch::new(&url);
    let tracker = TaskTracker::new();
    let index = open(&scratch, &tracker).await;
    // More than are sealed at a time.
    let others = (10..2_300).map(|study| entry(study, 1, 1));
    index.add([planted(1), planted(2)].into_iter().chain(others).collect()).await.unwrap();
    is_found(&index, 2).await;
    close(index, &tracker).await;
    assert!(seen(&lies_there(&scratch).await).len() >= 5, "this test can fail");
    assert!(seen(&blocks(&scratch).await).len() >= 5, "and so can this");

    let tracker = TaskTracker::new();
    let index = open_with(&scratch, &tracker, Some(&aes())).await.unwrap();
    assert_eq!(seen(&lies_there(&scratch).await), [""; 0]);
    assert_eq!(seen(&blocks(&scratch).await), [""; 0], "no unused part of a table has them");
    assert_eq!(index.counts().await.unwrap().patients, 2_291);
    let many = Matching::Wildcard("zhang*".to_owned());
    assert_eq!(index.find(asked(tags::PATIENT_NAME, many)).await.unwrap().len(), 2_290);
    is_found(&index, 2).await;
    index.add(vec![planted(3)]).await.unwrap();
    is_found(&index, 3).await;
    index.clear().await.unwrap();
    is_found(&index, 0).await;
    assert!(!index.sealed.as_ref().unwrap().knows("PLANTED-ID-7"));
    index.add(vec![planted(1)]).await.unwrap();
    is_found(&index, 1).await;
    assert_eq!(seen(&lies_there(&scratch).await), [""; 0]);
    close(index, &tracker).await;
    drop(cluster);
}

#[tokio::test]
async fn sealed_patients_open_with_their_key_alone_and_in_their_own_row() {
    let Some(url) = url() else { return };
    let scratch = Scratch::new(&url);
    let tracker = TaskTracker::new();
    let index = open_with(&scratch, &tracker, Some(&aes())).await.unwrap();
    index.add(vec![planted(1), entry(2, 1, 1)]).await.unwrap();
    close(index, &tracker).await;
    for other in [None, Some(key(Cipher::Aes256Gcm, 9))] {
        let refused = open_with(&scratch, &TaskTracker::new(), other.as_ref()).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(&aes().id.to_string()), "{text}");
        assert!(text.contains(&scratch.schema) && text.contains("made anew"), "{text}");
    }
    scratch.run("CREATE TABLE aside AS SELECT id, sealed FROM patient").await;
    // Two rows change places; a bit is turned; something is cut off; nothing is left.
    for alter in [
        "UPDATE patient SET sealed = (SELECT o.sealed FROM patient o WHERE o.id <> patient.id)",
        "UPDATE patient SET sealed = set_byte(sealed, 30, get_byte(sealed, 30) # 1) WHERE id = 1",
        "UPDATE patient SET sealed = substring(sealed FOR 20) WHERE id = 2",
        "UPDATE patient SET sealed = '' WHERE id = 1",
    ] {
        scratch.run(alter).await;
        let refused = open_with(&scratch, &TaskTracker::new(), Some(&aes())).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("was altered") && text.contains("made anew"), "{alter}: {text}");
        scratch
            .run("UPDATE patient SET sealed = a.sealed FROM aside a WHERE a.id = patient.id")
            .await;
        let tracker = TaskTracker::new();
        let index = open_with(&scratch, &tracker, Some(&aes())).await.unwrap();
        is_found(&index, 1).await;
        close(index, &tracker).await;
    }
    scratch.drop().await;
}

/// What became of an addition whose connection was lost is not known: who is there is read again.
#[tokio::test]
async fn who_is_there_is_read_again_after_a_lost_connection() {
    let Some(url) = url() else { return };
    let scratch = Scratch::new(&url);
    let tracker = TaskTracker::new();
    let index = open_with(&scratch, &tracker, Some(&aes())).await.unwrap();
    index.add(vec![entry(1, 1, 1)]).await.unwrap();
    // As an addition leaves the server that was done, and of which nobody heard.
    let sealed = SealedPatients::new(&aes()).unwrap();
    let mut connection = scratch.server.options(&scratch.schema).connect().await.unwrap();
    sqlx::query("UPDATE patient SET sealed = $1, patient_id = $2 WHERE id = 1")
        .bind(sealed.seal(1, &planted(1).header.patient).unwrap())
        .bind(sealed.patient_id("PLANTED-ID-7"))
        .execute(&mut connection)
        .await
        .unwrap();
    let like = || asked(tags::PATIENT_NAME, Matching::Wildcard("*小萍*".to_owned()));
    assert_eq!(index.find(like()).await.unwrap(), [], "nobody told");
    scratch.run(END_WRITER).await;
    while index.add(vec![entry(2, 1, 1)]).await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
    is_found(&index, 1).await;
    close(index, &tracker).await;
    scratch.drop().await;
}

#[test]
fn the_length_of_what_is_sealed_tells_little_and_the_same_patient_never_looks_the_same() {
    let sealed = SealedPatients::new(&aes()).unwrap();
    let named = |name: &str| Patient { name: name.to_owned(), ..planted(1).header.patient };
    let [short, long] = ["王^芳", "欧阳^小萍"].map(|name| sealed.seal(1, &named(name)).unwrap());
    assert_eq!(short.len(), long.len());
    assert_ne!(short, sealed.seal(1, &named("王^芳")).unwrap());
    assert_eq!(sealed.open(1, &short).unwrap(), named("王^芳"));
    sealed.open(2, &short).unwrap_err();
    assert_eq!(sealed.patient_id(""), "");
    assert_ne!(sealed.patient_id("1"), sealed.patient_id("2"));
    let other = SealedPatients::new(&key(Cipher::Aes256Gcm, 9)).unwrap();
    assert_ne!(sealed.patient_id("1"), other.patient_id("1"));
}
