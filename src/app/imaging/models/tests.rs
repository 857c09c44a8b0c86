//! Purposes, and what becomes of images when models and stores fail.

use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::analysing::Subject;
use super::*;
use crate::app::access::Caller;
use crate::app::imaging::forwarding::Cursor;
use crate::app::imaging::ports::{Selection, StudyIndex as _};
use crate::app::imaging::render::PixelSource;
use crate::app::imaging::testing::{MemoryArchive, MemoryHoldings, MemoryIndex};
use crate::app::imaging::tests::{Entries, Twentyfold};
use crate::app::imaging::{CopyLimits, ImagingParts, Intake, Keeper, Requester};
use crate::sharing::imaging::element::ElementSet;
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::suggestion::instance_uid;
use crate::sharing::imaging::writing::write;

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }
}

/// A model that answers 0.75, after so many failures.
#[derive(Debug)]
struct Fake {
    cards: Vec<Arc<ModelCard>>,
    busy: AtomicUsize,
    runs: AtomicUsize,
}

impl ImagingModels for Fake {
    fn cards(&self) -> &[Arc<ModelCard>] {
        &self.cards
    }

    fn refused(&self) -> &[RefusedModel] {
        &[]
    }

    fn run<'a>(&'a self, _: &'a str, _: Vec<f32>) -> BoxFuture<'a, Result<Vec<Vec<f32>>, Error>> {
        Box::pin(async move {
            let left = self.busy.load(Ordering::SeqCst);
            if left > 0 {
                self.busy.store(left - 1, Ordering::SeqCst);
                let retry_after = Duration::from_millis(1);
                return Err(Error::Overloaded { what: "model queue", retry_after });
            }
            self.runs.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(vec![vec![0.75]])
        })
    }
}

#[derive(Debug)]
struct Zeros;

impl Tensors for Zeros {
    fn tensor(
        &self,
        _: PixelSource,
        _: u32,
        _: TensorSpec,
    ) -> BoxFuture<'_, Result<Vec<f32>, Error>> {
        Box::pin(async { Ok(vec![0.0]) })
    }
}

#[derive(Debug, Default)]
struct Kept(StdMutex<Option<Cursor>>);

impl AnalysisStore for Kept {
    fn cursor(&self) -> BoxFuture<'_, Result<Option<Cursor>, Error>> {
        let cursor = self.0.lock().unwrap().clone();
        Box::pin(async { Ok(cursor) })
    }

    fn advance(&self, cursor: Cursor) -> BoxFuture<'_, Result<(), Error>> {
        *self.0.lock().unwrap() = Some(cursor);
        Box::pin(async { Ok(()) })
    }
}

fn card(automatic: bool) -> ModelCard {
    let label =
        LabelCard { id: "one".to_owned(), name: "一".to_owned(), code: None, threshold: 0.5 };
    ModelCard {
        id: "fake".to_owned(),
        version: "1".to_owned(),
        title: "假".to_owned(),
        manufacturer: "tests".to_owned(),
        sha256: String::new(),
        engine: String::new(),
        certificate: Certificate::ResearchOnly,
        automatic,
        purpose: Purpose { modalities: vec!["DX".to_owned()], ..Purpose::default() },
        input: TensorSpec {
            channels: 1,
            rows: 1,
            columns: 1,
            colour: false,
            ranges: vec![GreyRange::Stored],
            photometric: Vec::new(),
            keep_aspect: false,
            invert_monochrome1: true,
            scale: 1.0,
            mean: vec![0.0],
            deviation: vec![1.0],
        },
        outputs: vec![OutputCard { name: "out".to_owned(), labels: vec![label] }],
        known_answers: 1,
    }
}

fn examinations() -> Arc<Examinations> {
    Arc::new(Examinations::load(&crate::embedded::files()).unwrap())
}

struct Rig {
    analyses: Arc<Analyses>,
    models: Arc<Fake>,
    index: Arc<MemoryIndex>,
    imaging: Arc<Imaging>,
}

async fn rig() -> (Rig, Keeper) {
    let index = Arc::new(MemoryIndex::default());
    let parts = ImagingParts {
        archive: Arc::new(MemoryArchive::default()),
        index: Arc::<MemoryIndex>::clone(&index),
        journal: Arc::new(Entries::default()),
        clock: Arc::new(Noon),
        transcoder: Arc::new(Twentyfold),
        custody: Arc::new(MemoryHoldings::default()),
        copies: CopyLimits { bytes_max: u64::MAX, spare_bytes_min: 0 },
    };
    let (imaging, keeper, _) = Imaging::start(parts).await.unwrap();
    let cards = vec![Arc::new(card(true))];
    let (busy, runs) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let models = Arc::new(Fake { cards, busy, runs });
    let analyses = Arc::new(Analyses::new(AnalysesParts {
        imaging: Arc::clone(&imaging),
        examinations: examinations(),
        models: Arc::<Fake>::clone(&models),
        tensors: Arc::new(Zeros),
        clock: Arc::new(Noon),
    }));
    (Rig { analyses, models, index, imaging }, keeper)
}

impl Rig {
    async fn store(&self, uid: &str) {
        let mut set = ElementSet::default();
        for (tag, vr, value) in [
            (tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.1.1"),
            (tags::SOP_INSTANCE_UID, VR::UI, uid),
            (tags::MODALITY, VR::CS, "DX"),
            (tags::STUDY_INSTANCE_UID, VR::UI, "1.2"),
            (tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3"),
        ] {
            set = set.with_text(tag, vr, value);
        }
        for (tag, value) in [(tags::ROWS, 1), (tags::COLUMNS, 1), (tags::BITS_ALLOCATED, 8)] {
            set = set.with_u16(tag, value);
        }
        set = set.with_text(tags::PIXEL_DATA, VR::OB, "x");
        let caller = Caller::local("test");
        let explicit = "1.2.840.10008.1.2.1";
        let requester = Requester::of(caller);
        let mut incoming =
            self.imaging.receive(&Intake::of(requester), explicit, None, Vec::new()).unwrap();
        incoming.push(Bytes::from(write(&set, true))).await.unwrap();
        incoming.finish().await.unwrap();
    }

    async fn subject(&self, uid: &str) -> Subject {
        let selection = Selection { instances: vec![uid.to_owned()], ..Selection::default() };
        let image = self.index.instances(selection, 0, 1).await.unwrap().remove(0);
        let mut header = Header::default();
        header.study.uid.clone_from(&image.uids.study);
        header.series.uid.clone_from(&image.uids.series);
        header.instance.uid = uid.to_owned();
        Subject { image, header }
    }

    async fn said(&self, uid: &str) -> usize {
        let report = instance_uid(uid, "fake", "1");
        self.index.known(vec![report]).await.unwrap().remove(0).len()
    }
}

/// Runs a test beside the task that keeps.
async fn beside<T>(keeper: Keeper, test: impl Future<Output = T>) -> T {
    let (keep, test) = (Box::pin(keeper.run()), Box::pin(test));
    tokio::select! {
        () = keep => panic!("the keeper ended"),
        done = test => done,
    }
}

#[tokio::test]
async fn of_two_that_ask_at_once_one_is_said() {
    let (rig, keeper) = rig().await;
    beside(keeper, async {
        rig.store("1.2.3.1").await;
        let subject = rig.subject("1.2.3.1").await;
        let (one, other) = tokio::join!(
            rig.analyses.analyse("fake", &subject, None),
            rig.analyses.analyse("fake", &subject, None)
        );
        let outcomes = [one.unwrap().outcome, other.unwrap().outcome];
        assert!(matches!(outcomes[0], Outcome::Said { .. }), "{outcomes:?}");
        assert!(matches!(outcomes[1], Outcome::SaidBefore { .. }), "{outcomes:?}");
        assert_eq!((rig.said("1.2.3.1").await, rig.models.runs.load(Ordering::SeqCst)), (1, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn following_begins_at_the_end_and_tries_again_when_a_model_is_busy() {
    let (rig, keeper) = rig().await;
    beside(keeper, async {
        rig.store("1.2.3.1").await;
        let store: Arc<Kept> = Arc::default();
        let kept: Arc<dyn AnalysisStore> = Arc::<Kept>::clone(&store);
        let mut follower =
            Follower::start(Arc::clone(&rig.analyses), Arc::clone(&kept)).await.unwrap();
        assert!(!follower.page().await.unwrap(), "what was there before waits to be asked for");
        rig.models.busy.store(2, Ordering::SeqCst);
        rig.store("1.2.3.2").await;
        assert!(follower.page().await.unwrap());
        assert_eq!((rig.said("1.2.3.1").await, rig.said("1.2.3.2").await), (0, 1));
        // What it said is a change as well, and no image.
        assert!(follower.page().await.unwrap());
        assert!(!follower.page().await.unwrap());
        let number = store.0.lock().unwrap().clone().unwrap().number;
        assert_eq!(number, 3);
        // One that always fails is left out in the end, and the feed goes on.
        rig.models.busy.store(usize::MAX, Ordering::SeqCst);
        rig.store("1.2.3.3").await;
        assert!(follower.page().await.unwrap());
        assert_eq!(rig.said("1.2.3.3").await, 0);
        rig.models.busy.store(0, Ordering::SeqCst);
        // A node that died before the place was kept looks again and says nothing twice.
        let back = Cursor { number: 1, instance: "1.2.3.1".to_owned(), at_ms: 0 };
        store.advance(back).await.unwrap();
        let mut again = Follower::start(Arc::clone(&rig.analyses), kept).await.unwrap();
        while again.page().await.unwrap() {}
        assert_eq!((rig.said("1.2.3.2").await, rig.said("1.2.3.3").await), (1, 1));
        assert_eq!(rig.said("1.2.3.1").await, 0);
    })
    .await;
}

#[test]
fn every_condition_of_a_purpose_must_hold() {
    let examinations = examinations();
    let mut header = Header::default();
    header.series.modality = "DX".to_owned();
    header.series.view_position = "PA".to_owned();
    header.series.body_part = "CHEST".to_owned();
    header.study.description = "胸部正位".to_owned();
    let list = |one: &str| vec![one.to_owned()];
    let purpose = Purpose {
        modalities: list("DX"),
        regions: list("chest"),
        examinations: Vec::new(),
        view_positions: list("PA"),
    };
    assert!(purpose.fits(&header, &examinations));
    for other in [
        Purpose { modalities: list("CR"), ..purpose.clone() },
        Purpose { regions: list("head"), ..purpose.clone() },
        Purpose { view_positions: list("LL"), ..purpose.clone() },
        Purpose { examinations: list("ct.brain.plain"), ..purpose.clone() },
    ] {
        assert!(!other.fits(&header, &examinations), "{other:?}");
    }
    let derived = examinations.derive(std::slice::from_ref(&header)).study;
    let examinations_of = Purpose { examinations: derived.examinations.clone(), ..purpose };
    assert!(!derived.examinations.is_empty() && examinations_of.fits(&header, &examinations));
}
