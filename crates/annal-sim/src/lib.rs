//! A deterministic simulator for annal: faulty storage, a manual clock, a scheduler, and an oracle
//! that remembers what was acknowledged.
