//! The threads that decode and draw, behind a bounded queue.
//!
//! A decoder cannot be stopped half-way; work whose caller has gone is not begun. At most
//! `threads` frames are decoded at once, so memory is bounded by the limits of one frame.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::draw::{frame_bytes, render, thumbnail};
use super::error::RenderError;
use super::queue::{Queue, Task};
use super::sheet;
use super::syntax::syntax;
use super::tensor::tensor;
use crate::app::error::Error;
use crate::app::imaging::models::{TensorSpec, Tensors};
use crate::app::imaging::render::{
    ContactSheet, PixelSource, RenderRequest, RenderedImage, Renderer, SheetRequest, Slices,
    StoredFrame,
};
use crate::app::ports::BoxFuture;

/// How much is done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Threads, at least 1.
    pub threads: usize,
    /// Frames that may wait.
    pub waiting_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 2, waiting_max: 64 }
    }
}

/// Threads that decode and draw; they end when this is dropped.
#[derive(Debug)]
pub struct Workers {
    queue: Arc<Queue>,
    threads: usize,
}

struct Work<T, F> {
    answer: oneshot::Sender<Result<T, RenderError>>,
    run: F,
}

impl<T: Send, F: FnOnce() -> Result<T, RenderError> + Send> Task for Work<T, F> {
    fn abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(self: Box<Self>) {
        let Self { answer, run } = *self;
        // Our own code is not to panic; should it, this one image is lost and not the thread.
        let result = catch_unwind(AssertUnwindSafe(run));
        // The caller may have gone meanwhile.
        drop(answer.send(result.unwrap_or(Err(RenderError::Panicked { codec: "image" }))));
    }
}

impl Workers {
    /// Starts the threads. Fails if the system gives none.
    pub fn start(options: Options) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::new(options.waiting_max.max(1)));
        let workers = Self { queue, threads: options.threads.max(1) };
        for number in 0..workers.threads {
            let queue = Arc::clone(&workers.queue);
            std::thread::Builder::new().name(format!("render-{number}")).spawn(move || {
                while let Some(task) = queue.take() {
                    task.run();
                }
            })?;
        }
        Ok(workers)
    }

    /// How many run at once.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `work` on one of the threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, RenderError> + Send + 'static,
    ) -> Result<T, RenderError> {
        let (answer, answered) = oneshot::channel();
        self.queue.push(Box::new(Work { answer, run: work }))?;
        answered.await.unwrap_or(Err(RenderError::Stopped))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Tensors for Workers {
    fn tensor(
        &self,
        source: PixelSource,
        frame: u32,
        spec: TensorSpec,
    ) -> BoxFuture<'_, Result<Vec<f32>, Error>> {
        Box::pin(async move { Ok(self.run(move || tensor(&source, frame, &spec)).await?) })
    }
}

impl Renderer for Workers {
    fn stored_frame(
        &self,
        source: PixelSource,
        frame: u32,
    ) -> BoxFuture<'_, Result<StoredFrame, Error>> {
        Box::pin(async move {
            let syntax = syntax(&source.transfer_syntax)?;
            if syntax.deflated || syntax.pixels_big_endian {
                return Ok(self.run(move || frame_bytes(&source, frame)).await?);
            }
            // Microseconds: a change of thread would take longer.
            Ok(frame_bytes(&source, frame)?)
        })
    }

    fn render(
        &self,
        source: PixelSource,
        request: RenderRequest,
    ) -> BoxFuture<'_, Result<RenderedImage, Error>> {
        Box::pin(async move { Ok(self.run(move || render(&source, &request)).await?) })
    }

    fn thumbnail(
        &self,
        source: PixelSource,
        edge: u32,
    ) -> BoxFuture<'_, Result<RenderedImage, Error>> {
        Box::pin(async move { Ok(self.run(move || thumbnail(&source, edge)).await?) })
    }

    fn contact_sheet<'a>(
        &'a self,
        slices: &'a dyn Slices,
        request: SheetRequest,
    ) -> BoxFuture<'a, Result<ContactSheet, Error>> {
        Box::pin(sheet::contact_sheet(self, slices, request))
    }
}
