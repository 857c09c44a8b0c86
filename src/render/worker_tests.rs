//! The queue, the threads, and contact sheets.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use super::testing::{EXPLICIT, Object, file};
use super::{Options, RenderError, Workers};
use crate::app::error::{Code, Error};
use crate::app::imaging::render::{
    PixelSource, RenderRequest, Renderer, SheetChoice, SheetRequest, Slices,
};
use crate::app::ports::BoxFuture;

fn image(value: u8) -> PixelSource {
    Object::image("MONOCHROME2", 64, 48, 8).pixels8(&[value; 64 * 48]).source(EXPLICIT)
}

/// Whether `future`, looked at once, has no answer yet.
async fn pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
}

#[tokio::test]
async fn frames_are_drawn_and_found_through_the_port() {
    let workers = Workers::start(Options::default()).unwrap();
    let renderer: &dyn Renderer = &workers;
    let drawn = renderer.render(image(9), RenderRequest::default()).await.unwrap();
    assert_eq!((drawn.width, drawn.height, drawn.media_type), (64, 48, "image/jpeg"));
    let small = renderer.thumbnail(image(9), 16).await.unwrap();
    assert_eq!((small.width, small.height), (16, 12));
    let stored = renderer.stored_frame(image(9), 1).await.unwrap();
    assert_eq!(stored.bytes.len(), 64 * 48);
    let missing = renderer.stored_frame(image(9), 2).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test]
async fn a_full_queue_refuses_and_abandoned_work_makes_room() {
    let workers = Workers::start(Options { threads: 1, waiting_max: 1 }).unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (began, running) = tokio::sync::oneshot::channel();
    let busy = workers.run(move || {
        began.send(()).unwrap();
        held.recv().unwrap();
        Ok(())
    });
    let mut busy = Box::pin(busy);
    tokio::select! { _ = &mut busy => unreachable!(), answer = running => answer.unwrap() }
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = |runs: &Arc<AtomicUsize>| {
        let runs = Arc::clone(runs);
        move || {
            runs.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    };
    let mut waiting = Box::pin(workers.run(counted(&runs)));
    assert!(pending(&mut waiting).await);
    assert_eq!(workers.run(counted(&runs)).await, Err(RenderError::Full));
    // Its caller goes; its place is taken.
    drop(waiting);
    let mut next = Box::pin(workers.run(counted(&runs)));
    assert!(pending(&mut next).await);
    release.send(()).unwrap();
    busy.await.unwrap();
    next.await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1, "abandoned work was done");
}

#[tokio::test]
async fn a_panic_costs_one_image_and_no_thread() {
    let workers = Workers::start(Options { threads: 1, waiting_max: 4 }).unwrap();
    let lost: Result<(), _> = workers.run(|| panic!("a fault of ours")).await;
    assert_eq!(lost, Err(RenderError::Panicked { codec: "image" }));
    assert_eq!(workers.run(|| Ok(7)).await, Ok(7));
}

#[derive(Debug)]
struct Series {
    count: usize,
    broken: Vec<usize>,
}

impl Slices for Series {
    fn count(&self) -> usize {
        self.count
    }

    fn slice(&self, index: usize) -> BoxFuture<'_, Result<(PixelSource, u32), Error>> {
        let broken = self.broken.contains(&index);
        Box::pin(async move {
            let frame = if broken { 2 } else { 1 };
            let value = u8::try_from(index % 200 + 50).unwrap();
            Ok((image(value), frame))
        })
    }
}

#[tokio::test]
async fn a_sheet_shows_slices_in_order_and_leaves_out_the_broken() {
    let workers = Workers::start(Options::default()).unwrap();
    let series = Series { count: 40, broken: vec![3] };
    let request =
        SheetRequest { choice: SheetChoice::These(vec![5, 3, 39]), ..SheetRequest::default() };
    let sheet = workers.contact_sheet(&series, request).await.unwrap();
    assert_eq!((sheet.slices, sheet.missing), (vec![5, 3, 39], vec![3]));
    let picture = image::load_from_memory(&sheet.image.bytes).unwrap().to_luma8();
    let middle = |tile: u32| {
        let (x, y) = (tile % sheet.across, tile / sheet.across);
        let at = |place: u32, edge: u32| place * edge + edge / 2;
        picture.get_pixel(at(x, sheet.tile_width), at(y, sheet.tile_height)).0[0]
    };
    assert_eq!([middle(0), middle(1), middle(2)], [55, 0, 89]);
}

#[tokio::test]
async fn a_sheet_of_nothing_or_only_broken_slices_is_an_error() {
    let workers = Workers::start(Options::default()).unwrap();
    let none = Series { count: 0, broken: vec![] };
    let refused = workers.contact_sheet(&none, SheetRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let broken = Series { count: 2, broken: vec![0, 1] };
    let refused = workers.contact_sheet(&broken, SheetRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let outside = SheetRequest { choice: SheetChoice::These(vec![2]), ..SheetRequest::default() };
    assert!(workers.contact_sheet(&broken, outside).await.is_err());
}

#[derive(Debug)]
struct RealSeries(PixelSource, usize);

impl Slices for RealSeries {
    fn count(&self) -> usize {
        self.1
    }

    fn slice(&self, _: usize) -> BoxFuture<'_, Result<(PixelSource, u32), Error>> {
        Box::pin(async { Ok((self.0.clone(), 1)) })
    }
}

#[tokio::test]
async fn a_sheet_gets_smaller_tiles_until_it_fits() {
    let workers = Workers::start(Options::default()).unwrap();
    let series = RealSeries(file("pydicom-bundled/test_files/CT_small.dcm"), 60);
    for bytes_max in [20_000, 60_000, 400_000] {
        let request = SheetRequest { bytes_max, ..SheetRequest::default() };
        let sheet = workers.contact_sheet(&series, request).await.unwrap();
        assert!(sheet.image.bytes.len() <= bytes_max);
        assert!(
            sheet.image.bytes.len() * 3 > bytes_max,
            "{} of {bytes_max}",
            sheet.image.bytes.len()
        );
        assert_eq!(sheet.slices.len(), 60);
    }
    let request = SheetRequest { bytes_max: 100, ..SheetRequest::default() };
    let refused = workers.contact_sheet(&series, request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}
