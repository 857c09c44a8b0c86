//! The DIMSE door: what PACS and modalities connect to (PS3.7, PS3.8, PS3.4).
//!
//! Associations are negotiated and P-DATA is streamed here, not by `dicom-ul`'s association types,
//! because those give a server no choice among transfer syntaxes, hide a client's certificate and
//! hold a whole object before it is looked at; its PDU reader and writer are used. DCMTK,
//! pynetdicom and Orthanc drive this door in the tests.

mod association;
mod certificate;
mod command;
mod commitment;
mod dial;
mod find;
mod forward;
mod negotiation;
mod pacs;
mod retrieve;
mod server;
mod status;
mod uids;
mod wire;
mod worklist;

pub use self::dial::{DialError, Dialler, Echo, Sent};
pub use self::forward::DimseSender;
pub use self::pacs::{DimsePacs, Moves, Way};
pub use self::server::{DicomOptions, Door};
