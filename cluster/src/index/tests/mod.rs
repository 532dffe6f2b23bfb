//! Tests of the index: events go in, snapshots come out.
