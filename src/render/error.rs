//! Why an image was not decoded or drawn. Reasons name attributes and clauses, never values of the
//! patient.

use std::time::Duration;

use crate::app::error::Error;

/// When a caller may try again after the queue was full.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Why an image was not decoded or drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The data set cannot be walked.
    #[error("data set is malformed: {0}")]
    Malformed(&'static str),
    /// There are no pixels in it.
    #[error("object has no pixel data")]
    NoPixels,
    /// It has fewer frames.
    #[error("object has {frames} frames")]
    NoSuchFrame {
        /// Frames there are.
        frames: u32,
    },
    /// The pixels have fewer bytes than the attributes need.
    #[error("pixel data is shorter than rows, columns and frames need")]
    Truncated,
    /// Larger than is decoded here.
    #[error("{what} is more than {max}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Most that is taken.
        max: u64,
    },
    /// Attributes that contradict each other or the standard.
    #[error("{attribute} is missing or not allowed")]
    Attribute {
        /// Keyword of the attribute.
        attribute: &'static str,
    },
    /// A transfer syntax or kind of image that is not decoded here.
    #[error("{0} is not decoded here")]
    Unsupported(&'static str),
    /// The compressed frame contradicts itself or the data set.
    #[error("{codec} frame is damaged: {reason}")]
    Codec {
        /// Which decoder.
        codec: &'static str,
        /// What it met.
        reason: &'static str,
    },
    /// A foreign decoder panicked.
    #[error("{codec} decoder gave up on the frame")]
    Panicked {
        /// Which decoder.
        codec: &'static str,
    },
    /// PNG or JPEG could not be written.
    #[error("image could not be encoded")]
    Encode,
    /// The image does not fit the bytes that the caller allows.
    #[error("image does not fit {bytes_max} bytes")]
    DoesNotFit {
        /// What the caller allows.
        bytes_max: usize,
    },
    /// An image that a model is not for.
    #[error("image is not what the model takes: {0}")]
    Unfit(&'static str),
    /// A region outside the image, a viewport without area, a window without width.
    #[error("{0}")]
    Request(&'static str),
    /// The caller has gone.
    #[error("caller has gone")]
    Cancelled,
    /// Too much waits.
    #[error("render queue is full")]
    Full,
    /// The renderer stops.
    #[error("renderer has stopped")]
    Stopped,
}

/// What functions of this module answer.
pub type Result<T> = std::result::Result<T, RenderError>;

impl From<RenderError> for Error {
    fn from(error: RenderError) -> Self {
        match error {
            RenderError::NoPixels => Self::NotFound { kind: "pixel data" },
            RenderError::NoSuchFrame { .. } => Self::NotFound { kind: "frame" },
            RenderError::Request(allowed) => Self::field("request", allowed),
            RenderError::Full => {
                Self::Overloaded { what: "render queue", retry_after: RETRY_AFTER }
            }
            RenderError::Cancelled | RenderError::Stopped => {
                Self::Unavailable { what: "renderer", cause: Some(Box::new(error)) }
            }
            RenderError::Encode => Self::internal("renderer", error),
            RenderError::Malformed(_)
            | RenderError::Truncated
            | RenderError::TooLarge { .. }
            | RenderError::Attribute { .. }
            | RenderError::Unsupported(_)
            | RenderError::Codec { .. }
            | RenderError::Panicked { .. }
            | RenderError::Unfit(_)
            | RenderError::DoesNotFit { .. } => Self::Refused { reason: error.to_string() },
        }
    }
}
