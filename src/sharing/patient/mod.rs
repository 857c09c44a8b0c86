//! Who a record is about.

pub mod linkage;
