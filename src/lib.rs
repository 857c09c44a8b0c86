//! Xiangyi (乡医, "village doctor"): a node for village and township clinics that answers
//! general-practice diagnosis and prescription checks over gRPC, on a small and often offline box.
//!
//! The layers, each of which may only use those before it:
//! `tables` <- `medicine`, `sharing` <- `app` <- { `rpc`, `dicom`, `web`, `store`, `archive`,
//! `render`, `inference`, `link` } <- `node` <- `cli`.
//! See ARCHITECTURE.md for the map and the reasons.

pub mod app;
pub mod archive;
pub mod benchmark;
pub mod cli;
pub mod config;
pub mod dicom;
pub mod embedded;
pub mod inference;
pub mod lifecycle;
pub mod link;
pub mod medicine;
pub mod node;
pub mod render;
pub mod rpc;
pub mod sharing;
pub mod store;
pub mod tables;
pub mod telemetry;
pub mod tls;
pub mod web;
