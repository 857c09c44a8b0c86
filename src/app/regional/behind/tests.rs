//! Following a PACS that answers as it is told, and bringing from it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::following::{Follower, Following, Looked};
use super::*;
use crate::app::imaging::peers::Services;
use crate::app::imaging::tests::{Noon, imaging_in_memory};
use crate::sharing::imaging::header::{Header, Instance, Patient, Series, Study};
use crate::sharing::imaging::published::Held;
use crate::sharing::recognition::Report;

/// The day after that of [`Noon`] in Beijing, that day, and the oldest of a window of one day.
const DAYS: [&str; 3] = ["20231116", "20231115", "20231114"];
const TEXT_REPORT: &str = "1.2.840.10008.5.1.4.1.1.88.11";

#[derive(Debug, Default)]
struct FakePacs {
    studies: Mutex<BTreeMap<String, Vec<Match>>>,
    asked: Mutex<Vec<Question>>,
    silent: Mutex<bool>,
    uncounted: Mutex<bool>,
    brings: AtomicUsize,
}

fn study(uid: &str, instances: u64) -> Match {
    let header = Header {
        study: Study { uid: uid.to_owned(), ..Study::default() },
        patient: Patient { id: "P1".to_owned(), ..Patient::default() },
        ..Header::default()
    };
    let modalities = vec!["CT".to_owned(), "SR".to_owned()];
    Match { header, modalities, instances, ..Match::default() }
}

fn series(study: &str, modality: &str) -> Match {
    let series = Series {
        uid: format!("{study}.{modality}"),
        modality: modality.to_owned(),
        ..Series::default()
    };
    let header = Header { series, ..Header::default() };
    Match { header, instances: 2, ..Match::default() }
}

fn unavailable() -> Error {
    Error::Unavailable { what: "test", cause: None }
}

impl Pacs for FakePacs {
    fn name(&self) -> &'static str {
        "A"
    }

    fn ask(&self, questions: Vec<Question>) -> BoxFuture<'_, Result<Vec<Vec<Match>>, Error>> {
        Box::pin(async move {
            if *self.silent.lock().unwrap() {
                return Err(unavailable());
            }
            let answer = |question: &Question| match question {
                Question::Studies { day } => {
                    self.studies.lock().unwrap().get(day).cloned().unwrap_or_default()
                }
                Question::Series { study } => {
                    let mut found = vec![series(study, "CT"), series(study, "SR")];
                    if *self.uncounted.lock().unwrap() {
                        for series in &mut found {
                            series.instances = 0;
                        }
                    }
                    found
                }
                Question::Instances { study, .. } => {
                    let instance = Instance {
                        sop_class: TEXT_REPORT.to_owned(),
                        uid: format!("{study}.9"),
                        report_state: "COMPLETE\\VERIFIED".to_owned(),
                        ..Instance::default()
                    };
                    vec![Match {
                        header: Header { instance, ..Header::default() },
                        ..Match::default()
                    }]
                }
            };
            let answers = questions.iter().map(answer).collect();
            self.asked.lock().unwrap().extend(questions);
            Ok(answers)
        })
    }

    fn bring<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Brought, Error>> {
        Box::pin(async {
            self.brings.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            if *self.silent.lock().unwrap() {
                return Err(unavailable());
            }
            Ok(Brought { completed: 3, failed: 0 })
        })
    }
}

/// One PACS only.
#[derive(Debug, Default)]
struct MemoryStore(Mutex<BTreeMap<String, (String, PublishedStudy)>>);

impl BehindStore for MemoryStore {
    fn mark(&self) -> BoxFuture<'_, Result<Mark, Error>> {
        Box::pin(async { Ok(Mark::default()) })
    }
    fn keep<'a>(
        &'a self,
        _: &'a str,
        day: &'a str,
        studies: Vec<PublishedStudy>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let kept = studies.into_iter().map(|s| (s.study.uid.clone(), (day.to_owned(), s)));
        self.0.lock().unwrap().extend(kept);
        Box::pin(async { Ok(()) })
    }
    fn gone<'a>(&'a self, _: &'a str, studies: Vec<String>) -> BoxFuture<'a, Result<(), Error>> {
        self.0.lock().unwrap().retain(|uid, _| !studies.contains(uid));
        Box::pin(async { Ok(()) })
    }
    fn retain(&self, _: Vec<String>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
    fn dated<'a>(
        &'a self,
        _: &'a str,
        from: &'a str,
        to: &'a str,
    ) -> BoxFuture<'a, Result<Vec<PublishedStudy>, Error>> {
        let kept = self.0.lock().unwrap();
        let dated = kept.values().filter(|(day, _)| (from..=to).contains(&day.as_str()));
        let dated = dated.map(|(_, study)| study.clone()).collect();
        Box::pin(async { Ok(dated) })
    }
    fn changed(&self, _: u64, _: u64) -> BoxFuture<'_, Result<Vec<(u64, String)>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn of(&self, studies: Vec<String>) -> BoxFuture<'_, Result<Vec<BehindStudy>, Error>> {
        let kept = self.0.lock().unwrap();
        let found = studies.iter().filter_map(|uid| kept.get(uid));
        let found = found
            .map(|(_, study)| BehindStudy { pacs: "A".to_owned(), study: study.clone() })
            .collect();
        Box::pin(async { Ok(found) })
    }
    fn list<'a>(&'a self, _: &'a str, _: u64) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        let listed = self.0.lock().unwrap().keys().cloned().collect();
        Box::pin(async { Ok(listed) })
    }
}

async fn rig() -> (Arc<FakePacs>, Arc<Behind>, Follower) {
    let (imaging, _keeper) = imaging_in_memory().await;
    let pacs = Arc::<FakePacs>::default();
    let each: Vec<Arc<dyn Pacs>> = vec![Arc::<FakePacs>::clone(&pacs)];
    let behind = Arc::new(Behind::new(imaging, Arc::<MemoryStore>::default(), each));
    let following =
        Following { days: 3, every: Duration::from_mins(1), whole_every: Duration::from_hours(1) };
    let asked: Arc<dyn Pacs> = Arc::<FakePacs>::clone(&pacs);
    let follower = Follower::new(Arc::clone(&behind), asked, Arc::new(Noon), following);
    (pacs, behind, follower)
}

fn has(pacs: &FakePacs, day: &str, studies: Vec<Match>) {
    pacs.studies.lock().unwrap().insert(day.to_owned(), studies);
}

fn asked(pacs: &FakePacs) -> Vec<Question> {
    std::mem::take(&mut *pacs.asked.lock().unwrap())
}

fn finder() -> Requester {
    Requester {
        caller: crate::app::access::Caller::system("test", crate::app::access::Role::Node),
        services: Services::all(),
    }
}

#[tokio::test]
async fn only_what_has_changed_is_looked_into_and_what_is_gone_is_told() {
    let (pacs, behind, follower) = rig().await;
    has(&pacs, DAYS[1], vec![study("1.1", 4), study("1.2", 4)]);
    let looked = follower.look(1).await.unwrap();
    assert_eq!(looked, Looked { studies: 2, changed: 2, gone: 0 });
    let days: Vec<String> = asked(&pacs)
        .into_iter()
        .filter_map(|q| if let Question::Studies { day } = q { Some(day) } else { None })
        .collect();
    assert_eq!(days, DAYS, "newest first");
    let kept = behind.among(vec!["1.1".to_owned()]).await.unwrap();
    let told = &kept.get("1.1").unwrap().study;
    assert_eq!((told.held, told.instances, told.series.len()), (Held::Behind, 4, 2));
    assert_eq!(told.report.state, Some(Report::Signed));
    assert_eq!(told.report.instance, "1.1.9");
    assert!(told.content.is_empty());
    // One that the PACS names for a day that is not its own belongs to its own.
    let mut astray = study("1.7", 1);
    astray.header.study.date = "19990909".to_owned();
    has(&pacs, DAYS[2], vec![astray]);
    // Nothing is new.
    assert_eq!(follower.look(1).await.unwrap(), Looked { studies: 2, changed: 0, gone: 0 });
    assert!(asked(&pacs).iter().all(|q| matches!(q, Question::Studies { .. })));
    // One grows, one goes; a silent PACS says nothing.
    has(&pacs, DAYS[1], vec![study("1.1", 6)]);
    *pacs.silent.lock().unwrap() = true;
    follower.look(1).await.unwrap_err();
    assert_eq!(behind.store().list("", 10).await.unwrap(), ["1.1", "1.2"]);
    *pacs.silent.lock().unwrap() = false;
    assert_eq!(follower.look(1).await.unwrap(), Looked { studies: 1, changed: 1, gone: 1 });
    assert_eq!(behind.store().list("", 10).await.unwrap(), ["1.1"]);
}

#[tokio::test]
async fn a_pacs_that_tells_no_counts_is_looked_into_and_counted_below() {
    let (pacs, behind, follower) = rig().await;
    has(&pacs, DAYS[1], vec![study("1.1", 0)]);
    follower.look(1).await.unwrap();
    let kept = behind.among(vec!["1.1".to_owned()]).await.unwrap();
    assert_eq!(kept.get("1.1").unwrap().study.instances, 4);
    asked(&pacs);
    let looked = follower.look(1).await.unwrap();
    assert_eq!(looked, Looked { studies: 1, changed: 0, gone: 0 });
    assert!(asked(&pacs).iter().any(|q| matches!(q, Question::Series { .. })));
    // One that counts no series either is counted by its instances: here one in each.
    *pacs.uncounted.lock().unwrap() = true;
    has(&pacs, DAYS[1], vec![study("1.2", 0)]);
    has(&pacs, DAYS[2], vec![study("1.3", 0)]);
    follower.look(2).await.unwrap();
    for uid in ["1.2", "1.3"] {
        let kept = behind.among(vec![uid.to_owned()]).await.unwrap();
        assert_eq!(kept.get(uid).unwrap().study.instances, 2, "{uid}");
    }
    // Of what is not new its word is taken.
    asked(&pacs);
    has(&pacs, DAYS[2], Vec::new());
    has(&pacs, "20231113", vec![study("1.3", 0)]);
    follower.look(2).await.unwrap();
    asked(&pacs);
    follower.look(2).await.unwrap();
    let below = asked(&pacs).into_iter().filter_map(|q| match q {
        Question::Series { study } => Some(study),
        Question::Studies { .. } | Question::Instances { .. } => None,
    });
    assert_eq!(below.collect::<Vec<_>>(), ["1.2"]);
}

#[tokio::test]
async fn what_is_older_than_the_window_is_told_no_more() {
    let (_, behind, follower) = rig().await;
    let old = PublishedStudy {
        study: Study { uid: "1.9".to_owned(), ..Study::default() },
        ..PublishedStudy::default()
    };
    behind.store().keep("A", "20231111", vec![old]).await.unwrap();
    assert_eq!(follower.look(0).await.unwrap(), Looked { studies: 0, changed: 0, gone: 1 });
    assert!(behind.store().list("", 10).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn several_who_wait_share_one_retrieval_and_it_ends_with_the_last_of_them() {
    let (pacs, behind, follower) = rig().await;
    has(&pacs, DAYS[1], vec![study("1.1", 3)]);
    follower.look(1).await.unwrap();
    let finder = finder();
    let lacking = behind.lacking(&finder, "1.1").await.unwrap().expect("nothing is here");
    let (one, two) = tokio::join!(behind.bring(&finder, &lacking), behind.bring(&finder, &lacking));
    assert_eq!(one.unwrap(), Brought { completed: 3, failed: 0 });
    assert_eq!(two.unwrap(), Brought { completed: 3, failed: 0 });
    assert_eq!(pacs.brings.load(Ordering::SeqCst), 1);
    // Given up by the only one who waits: the next begins anew.
    let given_up =
        tokio::time::timeout(Duration::from_millis(10), behind.bring(&finder, &lacking)).await;
    assert!(given_up.is_err());
    *pacs.silent.lock().unwrap() = true;
    let error = behind.bring(&finder, &lacking).await.unwrap_err();
    assert!(error.retryable(), "{error:?}");
    assert_eq!(pacs.brings.load(Ordering::SeqCst), 3);
    assert!(behind.lacking(&finder, "9.9").await.unwrap().is_none());
}
