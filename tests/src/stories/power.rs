//! The machine loses power.
