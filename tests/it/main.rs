//! One integration binary: real nodes on port 0, real sockets, both engines.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_macros,
    reason = "a test that cannot run fails, and says what it did not run"
)]

mod at_rest;
mod audit;
mod bad_input;
mod clocks;
mod command_line;
mod consent;
mod consent_of_others;
mod consultations;
mod copied;
mod copies;
mod coverage;
mod custody;
mod deidentify;
mod delivery;
mod doors;
mod enrolment;
mod evaluation;
mod fhir;
mod fhir_refused;
mod goaway;
mod harness;
mod hub_faults;
mod identity;
mod identity_provider;
mod images;
mod imaging;
mod imaging_models;
mod interviews;
mod journal;
mod limits;
mod link;
mod look_ups;
mod measures;
mod neighbours;
mod operation;
mod pacs;
mod parity;
mod people;
mod places;
mod plans;
mod postgres;
mod prescriptions;
mod recognition;
mod record_names;
mod records;
mod region;
mod relations;
mod reviews;
mod runbook;
mod signed;
mod stays;
mod tls;
mod trails;
mod web_clients;
