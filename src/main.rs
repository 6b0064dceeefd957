//! The `gemscope` command: arguments in, exit code out.

use std::process::ExitCode;

/// Images and tensors come and go in large pieces on several threads, and glibc keeps gaps between
/// them for as long as a run lasts: with it, ten thousand images take an eighth more memory than
/// two hundred (docs/BENCHMARKS.md). ONNX Runtime's memory comes from here too: Cargo.toml has
/// `malloc` itself replaced.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[allow(unsafe_code)]
fn main() -> ExitCode {
    // SAFETY: no other thread runs yet.
    unsafe { gemscope::onnxruntime::disable_telemetry() };
    ExitCode::from(gemscope::cli::run(std::env::args_os(), None))
}
