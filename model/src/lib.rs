//! The vocabulary of Bulkhead: plain data, no I/O, no clock, no randomness.

pub mod keys;
