# Short names for the commands of docs/TESTING.md and .ci/run, which need no just.

# What the README's test command runs.
test:
    cargo test

# Formatting and lints, as .ci/run has them.
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo clippy --no-default-features --lib --examples -- -D warnings

# Everything a change must pass.
ci:
    .ci/run

# The long checks that need no other packages; hours.
test-all: test
    GEMSCOPE_KILLS=200 cargo test --test it kills:: -- --ignored --nocapture
    cargo build --release
    python3 python/checks/peak_memory.py target/release/gemscope
    tests/mutants/run

# The main job on the bundled demo model.
demo:
    cargo run --release -- detect fixtures/shapes --labels star --out runs/demo
