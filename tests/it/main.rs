//! One integration binary: real nodes on port 0, real sockets, both engines.

mod bad_input;
mod command_line;
mod consultations;
mod doors;
mod harness;
mod journal;
mod limits;
mod operation;
mod parity;
mod prescriptions;
mod web_clients;
