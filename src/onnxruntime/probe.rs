//! Asking a file whether it is an ONNX Runtime that serves.
//!
//! In: a path. Out: its version, or the reason why it does not serve. Promises: no call of ort,
//! which panics on a library that it cannot use; a text file, a directory, a truncated or a foreign
//! library is a reason and not a crash.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use libloading::{Library, Symbol};
use ort::sys::OrtApiBase;

use super::MINIMUM_VERSION;
use crate::files;

/// The version of the library at `path`, which must be absolute or a bare name for the system's
/// search; else why it does not serve.
pub(super) fn probe(path: &Path) -> Result<String, String> {
    if path.is_absolute() {
        // The loader maps a truncated library happily and then dies of SIGBUS in its relocations.
        check_elf_is_whole(path).map_err(|e| format!("it cannot be read: {e}"))?;
    }
    // SAFETY: loading runs the library's initialisers, which is the purpose: the user named it, or
    // installed it where ONNX Runtime is looked for.
    let library = unsafe { Library::new(path) }
        .map_err(|e| format!("it cannot be loaded: {}", loader_words(&e)))?;
    // SAFETY: the type is the one that ONNX Runtime declares for this symbol in
    // onnxruntime_c_api.h.
    let entry: Symbol<'_, unsafe extern "C" fn() -> *const OrtApiBase> = unsafe {
        library.get(b"OrtGetApiBase\0")
    }
    .map_err(|_| "it is a library, but not ONNX Runtime (it has no OrtGetApiBase)".to_owned())?;
    // SAFETY: a function without arguments, which returns a static table or null.
    let Some(base) = (unsafe { entry().as_ref() }) else {
        return Err("its OrtGetApiBase returns nothing".to_owned());
    };
    // SAFETY: the first two entries of the table have not changed since ONNX Runtime 1.0.
    let version: *const c_char = unsafe { (base.GetVersionString)() };
    if version.is_null() {
        return Err("it does not say its version".to_owned());
    }
    // SAFETY: not null, and ONNX Runtime declares it as a NUL-terminated static string.
    let version = unsafe { CStr::from_ptr(version) }.to_string_lossy().into_owned();
    check_version(&version)?;
    // ort unwraps this pointer.
    // SAFETY: as for the version.
    if unsafe { (base.GetApi)(ort::MINOR_VERSION) }.is_null() {
        return Err(format!(
            "it says that it is ONNX Runtime {version}, but has no interface {MINIMUM_VERSION}"
        ));
    }
    Ok(version)
}

/// The same test as ort's own, which comes too late to choose another library.
fn check_version(version: &str) -> Result<(), String> {
    let minor = version
        .strip_prefix("1.")
        .and_then(|rest| rest.split('.').next())
        .and_then(|minor| minor.parse().ok());
    match minor {
        Some(minor) if ort::MINOR_VERSION <= minor => Ok(()),
        Some(_) => Err(format!(
            "it is ONNX Runtime {version}, and {MINIMUM_VERSION} is the oldest that serves"
        )),
        None => Err(format!(
            "it is ONNX Runtime {version}, and only versions 1.x from {MINIMUM_VERSION} on serve"
        )),
    }
}

/// The system loader's error, without libloading's own words around it.
fn loader_words(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Fails if a 64-bit little-endian ELF file ends before its last segment does. Other files pass:
/// the loader refuses unknown ones, and macOS and Windows check their own formats.
fn check_elf_is_whole(path: &Path) -> io::Result<()> {
    // Of the file header: e_phoff, e_phentsize, e_phnum. Of a program header: p_type, p_offset,
    // p_filesz. (System V ABI, chapter 4.)
    const HEADER: usize = 64;
    const PROGRAM_HEADER: usize = 56;
    const PT_LOAD: u64 = 1;
    let number = |bytes: &[u8], at: usize, size: usize| {
        bytes[at..at + size].iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte))
    };
    let truncated = || io::Error::new(io::ErrorKind::UnexpectedEof, "the file is truncated");

    let mut file = files::open(path)?;
    let length = file.metadata()?.len();
    let mut header = Vec::with_capacity(HEADER);
    file.by_ref().take(HEADER as u64).read_to_end(&mut header)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Ok(());
    }
    if header.len() < HEADER {
        return Err(truncated());
    }
    let (offset, size, count) =
        (number(&header, 32, 8), number(&header, 54, 2), number(&header, 56, 2));
    if size != PROGRAM_HEADER as u64 {
        return Ok(());
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut program_header = [0; PROGRAM_HEADER];
    for _ in 0..count {
        file.read_exact(&mut program_header).map_err(|_| truncated())?;
        let end = number(&program_header, 8, 8).saturating_add(number(&program_header, 32, 8));
        if number(&program_header, 0, 4) == PT_LOAD && end > length {
            return Err(truncated());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_library_give_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("text.so", "hello, this is no library\n"),
            ("empty.so", ""),
            ("elf.so", "\x7fELF\x02\x01"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            let reason = probe(&path).unwrap_err();
            assert!(reason.starts_with("it cannot be "), "{name}: {reason}");
        }
        assert!(probe(folder.path()).is_err());
        assert!(probe(&folder.path().join("missing.so")).unwrap_err().contains("cannot be read"));
    }

    /// Half of this very test's executable: the loader would map it and die.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_truncated_library_gives_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        check_elf_is_whole(&std::env::current_exe().unwrap()).unwrap();
        // Sections and debug data follow the segments, so half of a test executable may still hold
        // every segment.
        std::fs::write(&path, &whole[..65536]).unwrap();
        assert_eq!(probe(&path).unwrap_err(), "it cannot be read: the file is truncated");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_library_that_is_not_onnx_runtime_gives_a_reason() {
        let reason = probe(Path::new("libc.so.6")).unwrap_err();
        assert!(reason.contains("OrtGetApiBase"), "{reason}");
    }

    #[test]
    fn versions_from_the_minimum_on_serve() {
        for serves in ["1.24.0", "1.24.4", "1.32.0", "1.100.0", "1.25.0-dev"] {
            check_version(serves).unwrap();
        }
        for old in ["1.23.2", "1.4.0", "0.30.0", "2.0.0", "1", "", "1.x"] {
            assert!(check_version(old).is_err(), "{old}");
        }
        assert!(check_version("1.20.1").unwrap_err().contains("1.20.1, and 1.24 is the oldest"));
    }
}
