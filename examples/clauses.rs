//! The clauses that a critique asks about, of each prompt in a file of one prompt a line (`\n` in it
//! is a new line).
//!
//!     cargo run --example clauses -- prompts.txt

#![allow(clippy::print_stdout)] // it is what the example is for

use gemscope::critique::clauses::{ClauseRules, clauses};

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).ok_or(std::io::ErrorKind::InvalidInput)?;
    for line in std::fs::read_to_string(path)?.lines() {
        println!("{line}");
        for clause in clauses(&line.replace("\\n", "\n"), &ClauseRules::default()) {
            println!("    {clause}");
        }
    }
    Ok(())
}
