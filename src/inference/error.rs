//! What can go wrong between a request and a model's answer.
//!
//! Messages are lowercase fragments and never hold input values: a row of findings is patient
//! data. Deliberately absent: transport codes; whoever answers a caller maps these variants.

use std::sync::Arc;

/// The cause of an error, shared because one failed run answers many requests.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// An error of the inference layer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InferenceError {
    /// The manifest cannot be read.
    #[error("{file}: {message}")]
    Manifest {
        /// Path of the manifest, with the line where one is to blame.
        file: String,
        /// What is wrong.
        message: String,
        /// What the reader said, where it was a reader.
        #[source]
        source: Option<Cause>,
    },
    /// An engine cannot be had on this machine.
    #[error("{engine} is not available: {looked}")]
    NotAvailable {
        /// Engine name.
        engine: &'static str,
        /// Every place looked at, each with why it did not serve.
        looked: String,
    },
    /// A model does not keep what its manifest entry promises.
    #[error("model `{model}` ({file}) is refused: {message}")]
    Refused {
        /// Model id.
        model: String,
        /// Model file, relative to the manifest.
        file: String,
        /// What was expected and what was found.
        message: String,
        /// The engine's own words, where it was the engine that objected.
        #[source]
        source: Option<Cause>,
    },
    /// An engine could not do its work.
    #[error("{engine} failed to {doing}")]
    Engine {
        /// Engine name.
        engine: &'static str,
        /// What it was asked to do.
        doing: &'static str,
        /// The engine's own words.
        #[source]
        source: Cause,
    },
    /// A request does not fit the model.
    #[error("input `{input}`: {message}")]
    Input {
        /// Input name.
        input: String,
        /// What was expected and what was found.
        message: String,
    },
    /// A model's answer is not a set of probabilities and must not reach a doctor.
    #[error("the model answered with {message}")]
    Output {
        /// What was found.
        message: String,
    },
    /// The queue is full; the request was not taken.
    #[error("the queue of model `{model}` is full ({queue_max} waiting)")]
    Overloaded {
        /// Model id.
        model: String,
        /// Length of the queue.
        queue_max: usize,
    },
    /// The deadline passed before the request's turn came.
    #[error("the deadline passed before model `{model}` got to the request")]
    Expired {
        /// Model id.
        model: String,
    },
    /// The model's thread has stopped: it is shutting down, or its engine panicked.
    #[error("model `{model}` is not serving: {message}")]
    Stopped {
        /// Model id.
        model: String,
        /// Why.
        message: String,
    },
}

impl InferenceError {
    /// An engine's failure with its cause.
    pub(super) fn engine(
        engine: &'static str,
        doing: &'static str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Engine { engine, doing, source: Arc::new(source) }
    }

    /// A request that does not fit.
    pub(super) fn input(input: &str, message: impl Into<String>) -> Self {
        Self::Input { input: input.to_owned(), message: message.into() }
    }

    /// The message and those of all causes, joined by `: `, for a log line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}
