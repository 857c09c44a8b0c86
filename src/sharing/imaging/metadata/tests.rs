//! Metadata of made and of real objects.
