//! Wheels of these tests are small zip files with a hash of their own; one test fetches the real
//! one.

use std::sync::atomic::{AtomicUsize, Ordering};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::onnxruntime::PINNED_VERSION;
use crate::onnxruntime::wheels::{self, CUDA, Contents, ONNX_RUNTIME};

const LIBRARY: &str = if cfg!(target_os = "macos") {
    "libonnxruntime.1.32.0.dylib"
} else if cfg!(windows) {
    "onnxruntime.dll"
} else {
    "libonnxruntime.so.1.32.0"
};

/// An installation as a wheel of this platform makes it, with `content` as its library.
pub(in crate::onnxruntime) fn put_installed(cache: &Path, content: &[u8]) -> PathBuf {
    let platform = wheels::for_cpu().unwrap();
    let directory = platform.directory(cache);
    fs::create_dir_all(cache).unwrap();
    let wheel = cache.join("test.whl");
    write_wheel(&wheel, &[(&format!("onnxruntime/capi/{LIBRARY}"), content)]);
    fs::create_dir(&directory).unwrap();
    unpack(platform, &wheel, &directory).unwrap();
    check(platform, &directory, Depth::Hashes).unwrap()
}

fn write_wheel(path: &Path, members: &[(&str, &[u8])]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, content) in members {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap();
}

fn members() -> Vec<(String, &'static [u8])> {
    vec![
        ("onnxruntime/LICENSE".to_owned(), b"MIT"),
        ("onnxruntime/ThirdPartyNotices.txt".to_owned(), b"notices"),
        ("onnxruntime/__init__.py".to_owned(), b"import os"),
        (format!("onnxruntime/capi/{LIBRARY}"), b"library"),
        ("onnxruntime/capi/libonnxruntime_providers_shared.so".to_owned(), b"providers"),
        ("onnxruntime/capi/onnxruntime_pybind11_state.so".to_owned(), b"python"),
        ("onnxruntime/tools/LICENSE".to_owned(), b"another"),
    ]
}

/// A wheel, and what pins it.
fn wheel(folder: &Path) -> (PathBuf, Wheel) {
    let path = folder.join("onnxruntime-test.whl");
    let members = members();
    write_wheel(
        &path,
        &members.iter().map(|(name, content)| (name.as_str(), *content)).collect::<Vec<_>>(),
    );
    let sha256 = sha256_of_file(&path).unwrap().leak();
    (path, Wheel { sha256, ..pinned() })
}

fn pinned() -> Wheel {
    Wheel {
        package: "onnxruntime",
        version: PINNED_VERSION,
        platform: "test",
        tags: &["test"],
        sha256: "",
        fetched_mb: 1,
        unpacked_mb: 1,
        contents: Contents::OnnxRuntime,
    }
}

fn fetch_copy(wheel: &Path) -> impl Fn(&Path) -> Result<PathBuf, RuntimeError> + '_ {
    move |into| {
        let path = into.join("onnxruntime-test.whl");
        fs::copy(wheel, &path).unwrap();
        Ok(path)
    }
}

fn fetch_nothing(_: &Path) -> Result<PathBuf, RuntimeError> {
    panic!("something was fetched")
}

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_libraries_and_licences_are_unpacked_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("a").join("cache");
    let (wheel, platform) = wheel(folder.path());
    let (library, outcome) =
        install_with(&platform, &cache, fetch_copy(&wheel), &mut |_| {}).unwrap();
    assert_eq!(outcome, Outcome::Fetched);
    assert_eq!(fs::read(&library).unwrap(), b"library");
    let mut expected = [
        LIBRARY,
        "LICENSE",
        "ThirdPartyNotices.txt",
        "libonnxruntime_providers_shared.so",
        MANIFEST,
    ]
    .map(str::to_owned);
    expected.sort();
    assert_eq!(names_in(library.parent().unwrap()), expected);
    assert_eq!(
        names_in(&cache),
        ["onnxruntime-1.32.0-test", "onnxruntime.lock"],
        "the work directory is gone"
    );

    let again =
        install_with(&platform, &cache, fetch_nothing, &mut |text| panic!("{text}")).unwrap();
    assert_eq!(again, (library, Outcome::AlreadyThere));
}

#[test]
fn what_differs_from_the_manifest_is_installed_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let (wheel, platform) = wheel(folder.path());
    let (library, _) = install_with(&platform, &cache, fetch_copy(&wheel), &mut |_| {}).unwrap();
    let directory = library.parent().unwrap();
    let manifest = directory.join(MANIFEST);
    let damages: [(&str, &dyn Fn()); 6] = [
        ("truncated", &|| fs::write(&library, "libr").unwrap()),
        ("another content of the same size", &|| fs::write(&library, "LIBRARY").unwrap()),
        ("no library", &|| fs::remove_file(&library).unwrap()),
        ("no manifest, as if killed while unpacking", &|| fs::remove_file(&manifest).unwrap()),
        ("an empty manifest", &|| fs::write(&manifest, "").unwrap()),
        ("a manifest of another wheel", &|| {
            let text =
                fs::read_to_string(&manifest).unwrap().replace(platform.sha256, &"0".repeat(64));
            fs::write(&manifest, text).unwrap();
        }),
    ];
    for (what, damage) in damages {
        damage();
        let mut said = String::new();
        let installed =
            install_with(&platform, &cache, fetch_copy(&wheel), &mut |text| said += text).unwrap();
        assert_eq!(installed, (library.clone(), Outcome::Repaired), "{what}");
        assert!(said.contains("is damaged"), "{what}: {said}");
        assert_eq!(fs::read(&library).unwrap(), b"library", "{what}");
        check(&platform, directory, Depth::Hashes).unwrap();
    }
}

#[test]
fn leftovers_of_a_killed_process_are_no_installation_and_go_away() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let (wheel, platform) = wheel(folder.path());
    let leftover = cache.join(".onnxruntime-killed").join("unpacked");
    fs::create_dir_all(&leftover).unwrap();
    fs::write(leftover.join(LIBRARY), "half").unwrap();
    assert!(installed(&platform, &cache, Depth::Sizes).unwrap_err().problem.is_none());
    install_with(&platform, &cache, fetch_copy(&wheel), &mut |_| {}).unwrap();
    assert_eq!(names_in(&cache), ["onnxruntime-1.32.0-test", "onnxruntime.lock"]);
}

#[test]
fn a_wheel_with_another_hash_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let (wheel, mut platform) = wheel(folder.path());
    let found = platform.sha256;
    platform.sha256 = ONNX_RUNTIME[0].sha256;
    let error = install_with(&platform, &cache, fetch_copy(&wheel), &mut |_| {}).unwrap_err();
    assert!(matches!(error, RuntimeError::Hash { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(found) && text.contains(ONNX_RUNTIME[0].sha256), "{text}");
    assert_eq!(names_in(&cache), ["onnxruntime.lock"], "nothing was unpacked");
}

#[test]
fn a_wheel_that_leads_out_of_the_directory_is_refused() {
    for evil in [
        "../evil.so",
        "/etc/evil.so",
        "onnxruntime/capi/../../../libonnxruntime.so",
        "onnxruntime/capi/..\\..\\onnxruntime.dll",
        "C:/onnxruntime.dll",
    ] {
        assert!(pinned().wanted(evil).is_err(), "{evil}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evil.whl");
        write_wheel(
            &path,
            &[(&format!("onnxruntime/capi/{LIBRARY}"), b"library"), (evil, b"evil")],
        );
        let into = make_directory(folder.path().join("into")).unwrap();
        let error = unpack(&pinned(), &path, &into).unwrap_err();
        assert!(error.to_string().contains("leads out"), "{error}");
        assert!(!into.join(MANIFEST).exists());
        assert_eq!(names_in(folder.path()), ["evil.whl", "into"]);
    }
    assert_eq!(pinned().wanted("onnxruntime/capi/deeper/libonnxruntime.so").unwrap(), None);
}

#[test]
fn a_file_that_is_no_wheel_or_has_no_library_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let into = make_directory(folder.path().join("into")).unwrap();
    let path = folder.path().join("bad.whl");
    fs::write(&path, "an error page").unwrap();
    assert!(matches!(unpack(&pinned(), &path, &into), Err(RuntimeError::Wheel { .. })));
    write_wheel(&path, &[("onnxruntime/LICENSE", b"MIT")]);
    assert!(
        unpack(&pinned(), &path, &into)
            .unwrap_err()
            .to_string()
            .contains("no library of onnxruntime")
    );
}

#[test]
fn two_at_once_fetch_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let (wheel, platform) = wheel(folder.path());
    let fetched = AtomicUsize::new(0);
    let slow_fetch = |into: &Path| {
        fetched.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(100));
        fetch_copy(&wheel)(into)
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| install_with(&platform, &cache, slow_fetch, &mut |_| {}).unwrap());
        }
    });
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
}

#[test]
fn offline_fetches_nothing_and_says_what_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let error = install(&pinned(), folder.path(), true, &mut |text| panic!("{text}"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("gemscope setup") && error.contains("`offline`"), "{error}");
    assert!(names_in(folder.path()).is_empty());
}

#[test]
fn every_wheel_pins_a_sha256_of_its_own() {
    let mut hashes: Vec<_> = ONNX_RUNTIME.iter().chain(&CUDA).map(|wheel| wheel.sha256).collect();
    assert!(
        hashes.iter().all(|hash| hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()))
    );
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), ONNX_RUNTIME.len() + CUDA.len());
}

#[test]
fn of_nvidias_wheels_the_named_libraries_and_the_licence_are_taken() {
    let wheel = &CUDA[2];
    let wanted = |member: &str| wheel.wanted(member).unwrap();
    for (member, name) in [
        ("nvidia/cu13/lib/libcublas.so.13", Some("libcublas.so.13")),
        ("nvidia_cublas-13.1.0.3.dist-info/licenses/License.txt", Some("License.txt")),
        ("nvidia/cu13/lib/libnvblas.so.13", None),
        ("nvidia/cu13/include/cublas.h", None),
        ("nvidia_cublas-13.1.0.3.dist-info/METADATA", None),
    ] {
        assert_eq!(wanted(member).as_deref(), name, "{member}");
    }
    assert!(wheel.wanted("../nvidia/libcublas.so.13").is_err());
}

/// The one test that needs pip and a network: two at once, then again, then with a damaged library.
#[test]
fn the_pinned_wheel_is_installed_with_pip_and_loads() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, wheel) = (folder.path(), wheels::for_cpu().unwrap());
    let mut outcomes = std::thread::scope(|scope| {
        let install = || install(wheel, cache, false, &mut |_| {}).unwrap();
        [scope.spawn(install), scope.spawn(install)].map(|thread| thread.join().unwrap())
    });
    outcomes.sort_by_key(|(_, outcome)| *outcome as u8);
    let [(library, first), (same, second)] = outcomes;
    assert_eq!((first, second, &library), (Outcome::AlreadyThere, Outcome::Fetched, &same));
    assert_eq!(
        install(wheel, cache, true, &mut |_| {}).unwrap(),
        (library.clone(), Outcome::AlreadyThere)
    );
    assert_eq!(crate::onnxruntime::probe::probe(&library).unwrap(), PINNED_VERSION);

    // A copy, for the file that was loaded may still be mapped, and truncating it would pull the
    // ground from under its threads.
    let whole = fs::read(&library).unwrap();
    fs::remove_file(&library).unwrap();
    fs::write(&library, &whole[..whole.len() / 2]).unwrap();
    assert!(installed(wheel, cache, Depth::Sizes).unwrap_err().problem.is_some());
    assert_eq!(
        install(wheel, cache, false, &mut |_| {}).unwrap(),
        (library.clone(), Outcome::Repaired)
    );
    assert!(fs::read(&library).unwrap() == whole);
}
