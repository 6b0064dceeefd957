//! NVIDIA's libraries for ONNX Runtime's provider for CUDA: finding and loading them.
//!
//! In: the cache, the Python environment, the toolkit's folders. Out: their files, in the order in
//! which they can be loaded. Promises: a library that is missing or cannot be loaded is named; they
//! are loaded before ONNX Runtime asks for them and then finds them by name, so no search path has
//! to be set.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};
use std::{env, fs, mem};

use super::cache_dir;
use super::find::site_packages;
use super::wheels::{Contents, Wheel, for_cuda};

/// The files, and a sentence about them; those of a system whose libraries have no known names are
/// left to its loader.
pub(super) fn find() -> (Vec<PathBuf>, Result<String, String>) {
    let Some([_, wheels @ ..]) = for_cuda() else {
        return (Vec::new(), Ok("left to the system's loader".to_owned()));
    };
    let folders = folders(wheels);
    find_in(wheels, &folders)
}

/// [`find`] in given folders, and those of the system.
fn find_in(wheels: &[Wheel], folders: &[PathBuf]) -> (Vec<PathBuf>, Result<String, String>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in wheels.iter().flat_map(libraries) {
        let here = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        match here.or_else(|| load(Path::new(name)).ok().map(|()| PathBuf::from(name))) {
            Some(path) => found.push(path),
            None if is_needed(name) => missing.push(name),
            None => {}
        }
    }
    let [first, ..] = missing.as_slice() else {
        let mut places: Vec<_> = found.iter().filter_map(|path| path.parent()).collect();
        places.dedup();
        let places: Vec<_> = places
            .iter()
            .map(|place| {
                if place.as_os_str().is_empty() {
                    "the system".to_owned()
                } else {
                    place.display().to_string()
                }
            })
            .collect();
        let says = format!("{} libraries in {}", found.len(), places.join(", "));
        return (found, Ok(says));
    };
    let existing: Vec<_> = folders
        .iter()
        .filter(|folder| folder.is_dir())
        .map(|folder| folder.display().to_string())
        .collect();
    let places = if existing.is_empty() {
        String::new()
    } else {
        format!("in {}, nor ", existing.join(", "))
    };
    let more = if missing.len() > 1 {
        format!(" ({} more are missing)", missing.len() - 1)
    } else {
        String::new()
    };
    (found, Err(format!("there is no {first} {places}where the system looks for libraries{more}")))
}

fn libraries(wheel: &Wheel) -> &'static [&'static str] {
    match wheel.contents {
        Contents::Libraries(names) => names,
        Contents::OnnxRuntime => &[],
    }
}

/// Only kernels that cuDNN compiles itself need NVRTC; a toolkit without it serves.
fn is_needed(name: &str) -> bool {
    !name.starts_with("libnvrtc")
}

/// The places to look, in their order.
fn folders(wheels: &[Wheel]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = cache_dir()
        .iter()
        .flat_map(|cache| wheels.iter().map(|wheel| wheel.directory(cache)))
        .collect();
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(root) = set("VIRTUAL_ENV").or_else(|| set("CONDA_PREFIX")) {
        for site in site_packages(&root) {
            folders
                .extend(["cu13", "cudnn"].map(|part| site.join("nvidia").join(part).join("lib")));
        }
    }
    folders.extend(toolkits(Path::new("/usr/local")));
    folders
}

/// The folders of libraries of CUDA toolkits, the one that the system points to first, then the
/// newest.
fn toolkits(root: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("cuda-13"))
        .map(|entry| entry.path())
        .collect();
    versions.sort();
    versions.reverse();
    versions.insert(0, root.join("cuda"));
    versions
        .into_iter()
        .map(|version| version.join("lib64"))
        .filter(|folder| folder.is_dir())
        .collect()
}

/// Loads all of them, for good.
///
/// # Errors
/// Names the first that cannot be loaded, with the loader's reason.
pub(super) fn load_all(libraries: &[PathBuf]) -> Result<(), String> {
    for path in libraries {
        if let Err(reason) = load(path) {
            if is_needed(&path.file_name().unwrap_or_default().to_string_lossy()) {
                return Err(format!("{} cannot be loaded: {reason}", path.display()));
            }
            tracing::debug!(path = %path.display(), reason, "a library that is not always needed \
                cannot be loaded");
        }
    }
    Ok(())
}

/// Loads a library, for good and for all that are loaded later: they find its symbols, and it under
/// its name.
fn load(path: &Path) -> Result<(), String> {
    let words = |error: libloading::Error| {
        std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
    };
    // SAFETY: loading runs the library's initialisers, which is the purpose: it is one of NVIDIA's,
    // from a place where these are installed.
    #[cfg(unix)]
    let library = {
        use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
        unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }.map_err(words)?
    };
    // SAFETY: as above.
    #[cfg(not(unix))]
    let library = unsafe { libloading::Library::new(path) }.map_err(words)?;
    // Not unloaded: ONNX Runtime is about to take it from the list of what is loaded.
    mem::forget(library);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::wheels::CUDA;
    use super::*;

    fn all() -> &'static [Wheel] {
        &CUDA[1..]
    }

    /// Names that no system has.
    const LIBRARIES: &[&str] =
        &["libgemscope-a.so.1", "libgemscope-b.so.1", "libnvrtc-gemscope.so", "libgemscope-c.so"];

    #[test]
    fn the_first_that_is_missing_is_named_and_the_rest_counted() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_path_buf();
        let wheel = Wheel { contents: Contents::Libraries(LIBRARIES), ..wheel() };
        fs::write(folder.join(LIBRARIES[0]), "").unwrap();
        let (found, says) = find_in(std::slice::from_ref(&wheel), std::slice::from_ref(&folder));
        assert_eq!(found, [folder.join(LIBRARIES[0])]);
        let says = says.unwrap_err();
        assert!(
            says.contains("no libgemscope-b.so.1 in ")
                && says.contains(", nor where the system")
                && says.contains("(1 more are missing)"),
            "{says}"
        );
        for name in LIBRARIES {
            fs::write(folder.join(name), "no library").unwrap();
        }
        let (found, says) = find_in(&[wheel], std::slice::from_ref(&folder));
        assert_eq!(found.len(), 4);
        assert!(says.unwrap().starts_with("4 libraries in "));
        let reason = load_all(&found).unwrap_err();
        assert!(reason.contains("libgemscope-a.so.1 cannot be loaded: "), "{reason}");
        load_all(&found[2..3]).unwrap();
    }

    fn wheel() -> Wheel {
        let Wheel { package, version, platform, tags, sha256, .. } = CUDA[1];
        Wheel {
            package,
            version,
            platform,
            tags,
            sha256,
            fetched_mb: 1,
            unpacked_mb: 1,
            contents: Contents::OnnxRuntime,
        }
    }

    #[test]
    fn the_libraries_that_the_provider_is_linked_to_come_after_what_they_need() {
        let names: Vec<_> = all().iter().flat_map(libraries).collect();
        let place = |name| names.iter().position(|known| **known == name).unwrap();
        assert!(place("libcublasLt.so.13") < place("libcublas.so.13"));
        assert!(place("libnvrtc-builtins.so.13.0") < place("libnvrtc.so.13"));
        assert!(place("libcudart.so.13") < place("libcurand.so.10"));
        assert!(!is_needed("libnvrtc.so.13") && is_needed("libcudnn.so.9"));
    }

    #[test]
    fn the_newest_toolkit_comes_after_the_one_that_is_set() {
        let root = tempfile::tempdir().unwrap();
        for name in ["cuda", "cuda-13.0", "cuda-13.1", "cuda-12.8", "other"] {
            fs::create_dir_all(root.path().join(name).join("lib64")).unwrap();
        }
        let names =
            ["cuda", "cuda-13.1", "cuda-13.0"].map(|name| root.path().join(name).join("lib64"));
        assert_eq!(toolkits(root.path()), names);
    }
}
