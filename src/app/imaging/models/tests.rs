//! Purposes, and what becomes of images.
