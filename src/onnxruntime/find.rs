//! Looking for ONNX Runtime.
//!
//! In: what the user named, and the places of this process. Out: the candidates, in order, each
//! with what probing it said, and the first that serves. Promises: places after the first that
//! serves are not looked at, unless a report asks for all; a library that the user named is never
//! replaced by another; nothing in the current directory is loaded unless it was named.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use super::install::{self, Depth};
use super::probe::probe;
use super::wheels::{self, Wheel, is_library};
use super::{Candidate, Found, Origin, RuntimeError, RuntimeOptions, cache_dir};

/// The Python that is asked if no environment is active.
const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };

/// The places of a process. Tests make their own.
pub(super) struct Search {
    /// The library that the user named.
    named: Option<PathBuf>,
    /// The library that comes before all others.
    first: Option<PathBuf>,
    /// Gemscope's cache directory.
    cache: Option<PathBuf>,
    /// What may be installed there.
    wheel: Option<&'static Wheel>,
    /// Whether only a library with a provider for CUDA beside it serves.
    cuda: bool,
    /// The folder of the executable, symbolic links followed.
    executable: Option<PathBuf>,
    /// The root of the active Python environment.
    environment: Option<PathBuf>,
    /// Without an active environment, `python3` is asked for the folder of its package onnxruntime.
    ask_python: bool,
    /// Names and paths for the system's loader.
    system: Vec<PathBuf>,
    /// The version of a library, or why it does not serve.
    probe: fn(&Path) -> Result<String, String>,
}

/// The result of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The first library that serves.
    Library { origin: Origin, path: PathBuf, version: String },
    /// No place has one. The libraries that were passed over, one a line with its reason, for a
    /// message.
    None { skipped: String },
}

impl Search {
    /// The places of this process, for a library that computes on a CUDA device.
    pub(super) fn for_cuda(options: &RuntimeOptions) -> Self {
        let wheel = wheels::for_cuda().map(|[onnx_runtime, ..]| onnx_runtime);
        // The system's loader does not tell the library's folder, so no neighbours can be looked
        // up.
        Self { wheel, cuda: true, system: Vec::new(), ..Self::new(options) }
    }

    /// The places of this process.
    pub(super) fn new(options: &RuntimeOptions) -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let environment = set("VIRTUAL_ENV").or_else(|| set("CONDA_PREFIX"));
        Self {
            named: options.ort_lib.as_deref().map(resolve_named),
            first: options.first.clone(),
            cache: cache_dir().ok(),
            wheel: wheels::for_cpu(),
            cuda: false,
            executable: env::current_exe()
                .ok()
                .and_then(|path| Some(follow_links(&path).parent()?.to_path_buf())),
            ask_python: environment.is_none(),
            environment,
            system: system_libraries(),
            probe,
        }
    }

    /// The named library if there is one, else the first that works.
    pub(super) fn first_usable(&self) -> Result<Choice, RuntimeError> {
        if let Some(named) = self.look_at_named() {
            return match named.found {
                Found::Usable { version } => {
                    Ok(Choice::Library { origin: named.origin, path: named.path, version })
                }
                Found::Refused { reason } => Err(RuntimeError::Named { path: named.path, reason }),
                Found::Absent => Err(RuntimeError::Named {
                    path: named.path,
                    reason: "there is no such file".to_owned(),
                }),
            };
        }
        let mut skipped = Vec::new();
        for candidate in self.look_in_places() {
            match candidate.found {
                Found::Usable { version } => {
                    return Ok(Choice::Library {
                        origin: candidate.origin,
                        path: candidate.path,
                        version,
                    });
                }
                Found::Refused { reason } => {
                    skipped.push(format!("\n  passed over {}: {reason}", candidate.path.display()));
                }
                Found::Absent => {}
            }
        }
        Ok(Choice::None { skipped: skipped.concat() })
    }

    /// The places that were searched, for a message that nothing was found.
    pub(super) fn places(&self) -> String {
        let cache = self.cache.iter().zip(self.wheel).map(|(cache, wheel)| wheel.directory(cache));
        let folders = cache.chain(self.executable.clone()).chain(self.environment.clone());
        let folders: Vec<_> = folders.map(|folder| folder.display().to_string()).collect();
        format!("{}, Python's package onnxruntime", folders.join(", "))
    }

    /// Every candidate, for a report.
    pub(super) fn all(&self) -> Vec<Candidate> {
        self.look_at_named().into_iter().chain(self.look_in_places()).collect()
    }

    fn look_at_named(&self) -> Option<Candidate> {
        let path = self.named.clone()?;
        // A bare name that is no file of the current directory is left to the loader.
        let absent = path.is_absolute() && !path.exists();
        let found = if absent { Found::Absent } else { self.look_at(&path) };
        Some(Candidate { origin: Origin::Named, path, found })
    }

    /// Lazy: a place is looked at when the ones before it are used up.
    fn look_in_places(&self) -> impl Iterator<Item = Candidate> + '_ {
        let cache = self
            .cache
            .iter()
            .zip(self.wheel)
            .map(move |(cache, wheel)| self.look_in_cache(wheel, cache));
        let places = [
            (Origin::Executable, Self::executable_folders as fn(&Self) -> Vec<PathBuf>),
            (Origin::Python, Self::python_folders),
        ];
        let folders = places.into_iter().flat_map(move |(origin, folders)| {
            let folders = folders(self);
            let nowhere = Candidate { origin, path: PathBuf::from(PYTHON), found: Found::Absent };
            let nowhere = (origin == Origin::Python && folders.is_empty()).then_some(nowhere);
            nowhere.into_iter().chain(
                folders.into_iter().flat_map(move |folder| self.look_in_folder(origin, folder)),
            )
        });
        let system = self.system.iter().map(|path| Candidate {
            origin: Origin::System,
            path: path.clone(),
            found: self.look_for(path),
        });
        let first = self.first.iter().map(|path| Candidate {
            origin: Origin::Python,
            path: path.clone(),
            found: if path.exists() { self.look_at(path) } else { Found::Absent },
        });
        first.chain(cache).chain(folders).chain(system)
    }

    /// Every byte of the cached files is compared with its recorded hash, at every start.
    fn look_in_cache(&self, wheel: &Wheel, cache: &Path) -> Candidate {
        let (path, found) = match install::installed(wheel, cache, Depth::Hashes) {
            Ok(library) => {
                let found = self.look_at(&library);
                (library, found)
            }
            Err(install::Missing { directory, problem: None }) => (directory, Found::Absent),
            Err(install::Missing { directory, problem: Some(problem) }) => (
                directory,
                Found::Refused { reason: format!("{problem}; `gemscope setup` repairs it") },
            ),
        };
        Candidate { origin: Origin::Cache, path, found }
    }

    fn executable_folders(&self) -> Vec<PathBuf> {
        let Some(folder) = &self.executable else { return Vec::new() };
        std::iter::once(folder.clone())
            .chain(folder.parent().map(|parent| parent.join("lib")))
            .collect()
    }

    /// The folders of the package onnxruntime's libraries, and that of conda's own.
    fn python_folders(&self) -> Vec<PathBuf> {
        if let Some(root) = &self.environment {
            let mut folders: Vec<_> = site_packages(root)
                .into_iter()
                .map(|site| site.join("onnxruntime").join("capi"))
                .collect();
            folders.push(root.join(if cfg!(windows) { "Library/bin" } else { "lib" }));
            return folders;
        }
        if self.ask_python { ask_python().into_iter().collect() } else { Vec::new() }
    }

    /// If there are no libraries, the place itself is the candidate.
    fn look_in_folder(
        &self,
        origin: Origin,
        folder: PathBuf,
    ) -> Box<dyn Iterator<Item = Candidate> + '_> {
        let libraries = libraries_in(&folder);
        if libraries.is_empty() {
            return Box::new(std::iter::once(Candidate {
                origin,
                path: folder,
                found: Found::Absent,
            }));
        }
        Box::new(libraries.into_iter().map(move |path| {
            let found = self.look_at(&path);
            Candidate { origin, path, found }
        }))
    }

    /// A system library that is not there is nothing to speak of; one that is there and does not
    /// serve is.
    fn look_for(&self, path: &Path) -> Found {
        if path.is_absolute() && !path.exists() {
            return Found::Absent;
        }
        match self.look_at(path) {
            // Only the loader knows where it looks. It names the library that it does not find:
            // this one, or one that this one needs.
            Found::Refused { reason }
                if reason.contains(&*path.to_string_lossy())
                    && reason.to_lowercase().contains("no such file") =>
            {
                Found::Absent
            }
            found => found,
        }
    }

    fn look_at(&self, path: &Path) -> Found {
        let provider = format!("{DLL_PREFIX}onnxruntime_providers_cuda{DLL_SUFFIX}");
        if self.cuda && !path.with_file_name(&provider).exists() {
            return Found::Refused { reason: format!("it has no {provider} beside it") };
        }
        match (self.probe)(path) {
            Ok(version) => Found::Usable { version },
            Err(reason) => Found::Refused { reason },
        }
    }
}

/// A path is taken from the current directory, for ort would take it from the executable's; a bare
/// name that is no file there is left to the system's search.
fn resolve_named(path: &Path) -> PathBuf {
    let bare = path.components().count() == 1 && !path.exists();
    if bare {
        path.to_path_buf()
    } else {
        std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
    }
}

/// The file itself: a link's folder is not the library's. (Windows has no such links, and its
/// loader dislikes the long form of a path.)
fn follow_links(path: &Path) -> PathBuf {
    if cfg!(windows) {
        path.to_path_buf()
    } else {
        fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
    }
}

pub(super) fn site_packages(root: &Path) -> Vec<PathBuf> {
    if cfg!(windows) {
        return vec![root.join("Lib").join("site-packages")];
    }
    let Ok(entries) = fs::read_dir(root.join("lib")) else { return Vec::new() };
    let mut folders: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        .map(|entry| entry.path().join("site-packages"))
        .filter(|folder| folder.is_dir())
        .collect();
    folders.sort();
    folders
}

/// Asks `python3` for the folder of its package onnxruntime, without importing it. A folder of that
/// name in the current directory does not count.
fn ask_python() -> Option<PathBuf> {
    const QUESTION: &str = "import sys; sys.path = [p for p in sys.path if p]; import \
                            importlib.util as u; s = u.find_spec('onnxruntime'); \
                            print(s.submodule_search_locations[0] if s else '')";
    let output = Command::new(PYTHON).args(["-c", QUESTION]).stdin(Stdio::null()).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    let package = Path::new(answer.trim());
    (output.status.success() && package.is_absolute()).then(|| package.join("capi"))
}

fn system_libraries() -> Vec<PathBuf> {
    let name = format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}");
    if cfg!(windows) {
        // A bare name would also be looked for in the current directory.
        let path = env::var_os("PATH").unwrap_or_default();
        return env::split_paths(&path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(&name))
            .collect();
    }
    if cfg!(target_os = "macos") {
        // The loader does not know Homebrew's folder on ARM.
        return vec![PathBuf::from(&name), Path::new("/opt/homebrew/lib").join(&name)];
    }
    // The name without a version comes with a distribution's development package only.
    vec![PathBuf::from(&name), PathBuf::from(format!("{name}.1"))]
}

/// The libraries of a folder, the highest version first, a file with several names once.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut libraries: Vec<_> = entries
        .flatten()
        .filter(|entry| is_library(&entry.file_name().to_string_lossy()))
        .map(|entry| follow_links(&entry.path()))
        .collect();
    let version = |path: &PathBuf| -> Vec<u32> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.split('.').filter_map(|part| part.parse().ok()).collect()
    };
    libraries.sort_by_key(|path| std::cmp::Reverse((version(path), path.clone())));
    libraries.dedup();
    libraries
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Libraries of these tests are text files that hold their version.
    fn read_version(path: &Path) -> Result<String, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("it cannot be loaded: {e}"))?;
        if text.starts_with("1.") { Ok(text) } else { Err(format!("it is {text}")) }
    }

    fn library_name() -> &'static str {
        match env::consts::OS {
            "macos" => "libonnxruntime.1.32.0.dylib",
            "windows" => "onnxruntime.dll",
            _ => "libonnxruntime.so.1.32.0",
        }
    }

    fn put(folder: &Path, content: &str) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let path = fs::canonicalize(folder).unwrap().join(library_name());
        fs::write(&path, content).unwrap();
        path
    }

    /// The places under `root`; all of them are empty.
    fn places(root: &Path) -> Search {
        Search {
            named: None,
            first: None,
            cache: Some(root.join("cache")),
            wheel: wheels::for_cpu(),
            cuda: false,
            executable: Some(root.join("app").join("bin")),
            environment: Some(root.join("venv")),
            ask_python: false,
            system: vec![root.join("system").join(library_name())],
            probe: read_version,
        }
    }

    fn site(root: &Path) -> PathBuf {
        let site = if cfg!(windows) {
            "venv/Lib/site-packages"
        } else {
            "venv/lib/python3.12/site-packages"
        };
        root.join(site).join("onnxruntime").join("capi")
    }

    fn chosen(search: &Search) -> (Origin, String) {
        match search.first_usable().unwrap() {
            Choice::Library { origin, version, .. } => (origin, version),
            Choice::None { skipped } => panic!("nothing was found{skipped}"),
        }
    }

    #[test]
    fn places_are_tried_in_order() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mut search = places(root);
        assert_eq!(search.first_usable().unwrap(), Choice::None { skipped: String::new() });

        put(&root.join("system"), "1.24.0");
        assert_eq!(chosen(&search), (Origin::System, "1.24.0".to_owned()));
        put(&site(root), "1.25.0");
        assert_eq!(chosen(&search), (Origin::Python, "1.25.0".to_owned()));
        put(&root.join("app").join("lib"), "1.26.0");
        assert_eq!(chosen(&search), (Origin::Executable, "1.26.0".to_owned()));
        put(&root.join("app").join("bin"), "1.27.0");
        assert_eq!(chosen(&search), (Origin::Executable, "1.27.0".to_owned()));
        install::tests::put_installed(&root.join("cache"), b"1.32.0");
        assert_eq!(chosen(&search), (Origin::Cache, "1.32.0".to_owned()));
        search.named = Some(put(&root.join("mine"), "1.31.0"));
        assert_eq!(chosen(&search), (Origin::Named, "1.31.0".to_owned()));

        let origins: Vec<_> = search.all().into_iter().map(|candidate| candidate.origin).collect();
        let mut sorted = origins.clone();
        sorted.sort_by_key(|origin| *origin as u8);
        assert_eq!(origins, sorted, "a report lists all of them in the same order");
        assert_eq!(
            search.all().iter().filter(|c| matches!(c.found, Found::Usable { .. })).count(),
            6
        );
    }

    #[test]
    fn a_named_library_that_does_not_serve_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        put(&root.path().join("system"), "1.32.0");
        let mut search = places(root.path());
        for (path, reason) in [
            (root.path().join("missing.so"), "no such file"),
            (put(&root.path().join("mine"), "garbage"), "it is garbage"),
        ] {
            search.named = Some(path.clone());
            let error = search.first_usable().unwrap_err().to_string();
            assert!(
                error.contains(&path.display().to_string()) && error.contains(reason),
                "{error}"
            );
            assert!(error.contains("`ort_lib`") && error.contains("gemscope setup"), "{error}");
        }
    }

    #[test]
    fn what_does_not_serve_is_passed_over_with_its_reason() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let old = put(&root.join("app").join("bin"), "0.9, too old");
        let search = places(root);
        let Choice::None { skipped } = search.first_usable().unwrap() else {
            panic!("a bad library was chosen")
        };
        assert_eq!(skipped, format!("\n  passed over {}: it is 0.9, too old", old.display()));
        put(&root.join("system"), "1.32.0");
        assert_eq!(chosen(&search).0, Origin::System);
        let candidates = search.all();
        let refused = candidates.iter().find(|c| c.path == old).unwrap();
        assert_eq!(refused.found, Found::Refused { reason: "it is 0.9, too old".to_owned() });
    }

    #[test]
    fn a_damaged_installation_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let cache = root.path().join("cache");
        let library = install::tests::put_installed(&cache, b"1.32.0");
        fs::write(&library, "1.32.0 and more").unwrap();
        let Choice::None { skipped } = places(root.path()).first_usable().unwrap() else {
            panic!("it was chosen")
        };
        assert!(skipped.contains("gemscope setup"), "{skipped}");
    }

    #[test]
    fn places_after_the_first_that_serves_are_not_looked_at() {
        let root = tempfile::tempdir().unwrap();
        let mut search = places(root.path());
        install::tests::put_installed(&root.path().join("cache"), b"1.32.0");
        put(&root.path().join("system"), "1.32.0");
        search.probe = |path| {
            assert!(!path.to_string_lossy().contains("system"), "{}", path.display());
            read_version(path)
        };
        assert_eq!(chosen(&search).0, Origin::Cache);
    }

    #[cfg(unix)]
    #[test]
    fn the_highest_version_of_a_folder_comes_first_and_links_count_once() {
        let folder = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(folder.path()).unwrap();
        let name = |version: &str| {
            if cfg!(target_os = "macos") {
                format!("libonnxruntime.{version}.dylib")
            } else {
                format!("libonnxruntime.so.{version}")
            }
        };
        for version in ["1.9.0", "1.32.0", "1.24.1"] {
            fs::write(folder.join(name(version)), version).unwrap();
        }
        std::os::unix::fs::symlink(folder.join(name("1.32.0")), folder.join(name("1"))).unwrap();
        fs::write(folder.join("libonnxruntime_providers_shared.so"), "").unwrap();
        let expected: Vec<_> = ["1.32.0", "1.24.1", "1.9.0"]
            .iter()
            .map(|version| folder.join(name(version)))
            .collect();
        assert_eq!(libraries_in(&folder), expected);
    }

    #[test]
    fn a_bare_name_is_left_to_the_loader_and_a_path_is_made_absolute() {
        assert_eq!(
            resolve_named(Path::new("libonnxruntime-of-nobody.so")),
            Path::new("libonnxruntime-of-nobody.so")
        );
        assert!(resolve_named(Path::new("folder/libonnxruntime.so")).is_absolute());
        assert!(resolve_named(Path::new("Cargo.toml")).is_absolute());
    }
}
