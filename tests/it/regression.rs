//! Faults that users met: one test a fault, named by what the user saw. A test fails with the
//! version that had the fault.
//!
//! Each test runs the built command on files that it makes itself. To see which faults another
//! build has, name its binary: `GEMSCOPE_TEST_BINARY=/path/to/gemscope cargo test --test it
//! regression`.

mod answers;
mod datasets;
mod demo;
mod files;
mod folders;
mod hostile;
mod images;
mod newcomers;
mod parse;
mod scores;
mod streams;
