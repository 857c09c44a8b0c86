//! Xiangyi (乡医, "village doctor"): a node for village and township clinics that answers
//! general-practice diagnosis and prescription checks over gRPC, on a small and often offline box.
//!
//! The layers, each of which may only use those before it:
//! `medicine` <- `app` <- { `rpc`, `web`, `store`, `inference` } <- `node` <- `cli`.
//! See ARCHITECTURE.md for the map and the reasons.

pub mod app;
pub mod cli;
pub mod config;
pub mod embedded;
pub mod inference;
pub mod lifecycle;
pub mod medicine;
pub mod node;
pub mod rpc;
pub mod store;
pub mod telemetry;
pub mod web;
