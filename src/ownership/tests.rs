use super::*;
use crate::digest;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// Puts these files into `crops`; the names that were changed and stay.
fn put(directory: &OutputDirectory, files: &[(&str, &str)]) -> Result<Vec<String>, OwnershipError> {
    let staged = directory.stage()?;
    staged.folder("crops").unwrap();
    for (name, text) in files {
        staged.write(&format!("crops/{name}"), text.as_bytes()).unwrap();
    }
    Ok(directory.place(&staged, &["crops"])?.changed)
}

#[test]
fn a_set_takes_the_place_of_the_one_before_and_the_users_files_stay() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join("crops").join(name);
    let directory = OutputDirectory::open(dir.path()).unwrap();
    put(&directory, &[("a", "1"), ("gone/b", "1"), ("kept/c", "1"), ("changed", "1")]).unwrap();
    drop(directory);
    write(&at("kept/caption.txt"), "mine");
    write(&at("mine/other.txt"), "mine");
    write(&at("changed"), "mine");
    let directory = OutputDirectory::open(dir.path()).unwrap();
    assert_eq!(put(&directory, &[("a", "2"), ("new/d", "2")]).unwrap(), ["crops/changed"]);
    assert_eq!((read(at("a")), read(at("new/d"))), ("2".into(), "2".into()));
    assert!(!at("gone").exists() && !at("kept/c").exists());
    assert_eq!(
        ["kept/caption.txt", "mine/other.txt", "changed"].map(|name| read(at(name))),
        ["mine"; 3]
    );
    // The changed file is the user's now, and in the way.
    assert!(matches!(
        put(&directory, &[("changed", "3")]),
        Err(OwnershipError::InTheWay { others: 0, .. })
    ));
    assert_eq!(
        (read(at("changed")), read(at("a"))),
        ("mine".into(), "2".into()),
        "nothing was changed"
    );
    assert_eq!(directory.remove_own().unwrap(), Left::default());
    assert!(!at("a").exists() && !at("new").exists() && at("mine/other.txt").exists());
}

#[test]
fn a_file_that_is_in_the_way_is_named_or_adopted() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("crops/a"), "mine");
    write(&dir.path().join("crops/same"), "2");
    let directory = OutputDirectory::open(dir.path()).unwrap();
    let error = put(&directory, &[("a", "2"), ("same", "2")]).unwrap_err().to_string();
    assert!(error.contains("crops/a is in the way"), "{error}");
    assert_eq!(read(dir.path().join("crops/a")), "mine");
    let directory = directory.adopting(true);
    assert_eq!(put(&directory, &[("a", "2"), ("same", "2")]).unwrap(), [""; 0]);
    drop(directory);
    // From now on they are gemscope's.
    let directory = OutputDirectory::open(dir.path()).unwrap();
    put(&directory, &[]).unwrap();
    assert_eq!(
        fs::read_dir(dir.path().join("crops")).unwrap().count(),
        0,
        "a folder of the user's stays"
    );
}

#[cfg(unix)]
#[test]
fn nothing_is_written_or_removed_through_a_link() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let (out, mine) = (dir.path().join("out"), dir.path().join("mine"));
    write(&mine.join("a"), "1");
    let directory = OutputDirectory::open(&out).unwrap();
    put(&directory, &[("sub/a", "1")]).unwrap();
    fs::remove_dir_all(out.join("crops/sub")).unwrap();
    symlink(&mine, out.join("crops/sub")).unwrap();
    // The target of the link has the content that is on the list, and is the user's all the same.
    assert!(put(&directory, &[]).unwrap().is_empty());
    assert_eq!(read(mine.join("a")), "1");
    assert!(matches!(put(&directory, &[("sub/b", "2")]), Err(OwnershipError::Link(_))));
    fs::remove_dir_all(out.join("crops")).unwrap();
    symlink(&mine, out.join("crops")).unwrap();
    assert!(matches!(put(&directory, &[("b", "2")]), Err(OwnershipError::Link(_))));
    assert_eq!(fs::read_dir(&mine).unwrap().count(), 1);
    drop(directory);
    for name in [".lock", ".gemscope"] {
        let other = dir.path().join(format!("other{name}"));
        fs::create_dir(&other).unwrap();
        symlink(mine.join("a"), other.join(name)).unwrap();
        assert!(
            OutputDirectory::open(&other).unwrap_err().to_string().contains("symbolic link"),
            "{name}"
        );
        assert_eq!(read(mine.join("a")), "1");
    }
}

#[cfg(unix)]
#[test]
fn links_of_gemscopes_are_replaced_and_their_files_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (out, image) = (dir.path().join("out"), dir.path().join("image"));
    write(&image, "picture");
    let directory = OutputDirectory::open(&out).unwrap();
    let link = |name: &str| {
        let staged = directory.stage().unwrap();
        staged.hard_link(&format!("yolo/{name}"), &image, digest::hex("picture")).unwrap();
        staged.symbolic_link(&format!("yolo/{name}.link"), &image, None).unwrap();
        directory.place(&staged, &["yolo"]).unwrap()
    };
    assert_eq!([link("a"), link("a")], [Left::default(), Left::default()]);
    // Changed in place: through both names, and still a second name of the user's file.
    fs::OpenOptions::new()
        .append(true)
        .open(&image)
        .and_then(|mut file| file.write_all(b" changed"))
        .unwrap();
    assert_eq!(link("b"), Left::default());
    assert!(!out.join("yolo/a").exists() && !out.join("yolo/a.link").exists());
    assert_eq!(
        (read(&image), read(out.join("yolo/b.link"))),
        ("picture changed".into(), "picture changed".into())
    );
}

#[test]
fn the_last_copy_of_an_image_is_neither_removed_nor_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let image = |name: &str| dir.path().join("images").join(name);
    let directory = OutputDirectory::open(&dir.path().join("out")).unwrap();
    let at = |name: &str| directory.join(format!("set/{name}"));
    let copy = |copies: &[(&str, &str)]| {
        let staged = directory.stage().unwrap();
        for (name, of) in copies {
            staged.copy(&format!("set/{name}"), of.as_bytes(), &image(of)).unwrap();
        }
        directory.place(&staged, &["set"])
    };
    for name in ["there", "gone", "renamed", "linked"] {
        write(&image(name), name);
    }
    copy(&[("a", "there"), ("b", "gone"), ("c", "renamed")]).unwrap();
    let staged = directory.stage().unwrap();
    staged.hard_link("linked", &image("linked"), digest::hex("linked")).unwrap();
    directory.place(&staged, &["linked"]).unwrap();
    for name in ["gone", "renamed", "linked"] {
        fs::remove_file(image(name)).unwrap();
    }
    // Another image would take its place.
    assert!(matches!(copy(&[("b", "there")]), Err(OwnershipError::InTheWay { others: 0, .. })));
    let left = copy(&[("d", "renamed")]).unwrap();
    assert_eq!(left, Left { changed: vec![], last_copies: vec!["set/b".into()] });
    assert_eq!(
        left.last_copies_in_words().unwrap(),
        "1 copy of an image that is gone stays in set, and is yours now"
    );
    assert!(
        !at("a").exists() && !at("c").exists(),
        "of an image that is there, and of one with another name"
    );
    fs::remove_dir_all(dir.path().join("images")).unwrap();
    assert_eq!(directory.remove_own().unwrap().last_copies, ["linked", "set/d"]);
    assert_eq!(
        [at("b"), at("d"), directory.join("linked")].map(read),
        ["gone", "renamed", "linked"]
    );
    assert_eq!(directory.remove_own().unwrap(), Left::default(), "they are the user's now");
}

#[test]
fn a_kill_between_the_list_and_the_files_is_put_right_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let directory = OutputDirectory::open(dir.path()).unwrap();
    put(&directory, &[("a", "1"), ("b", "1")]).unwrap();
    // As a kill leaves it: entries of the new set, one of its files in place, the others still
    // staged.
    let staged = directory.stage().unwrap();
    staged.write("crops/a", b"2").unwrap();
    staged.write("crops/c", b"2").unwrap();
    directory.list().promise(&staged.take().files).unwrap();
    fs::rename(staged.path_of("crops/a"), dir.path().join("crops/a")).unwrap();
    std::mem::forget(staged);
    drop(directory);
    fs::create_dir_all(dir.path().join(".gemscope/new/7")).unwrap();
    let directory = OutputDirectory::open(dir.path()).unwrap();
    assert!(!dir.path().join(".gemscope/new").exists());
    assert!(put(&directory, &[("a", "3"), ("c", "3")]).unwrap().is_empty());
    drop(directory);
    let mut names: Vec<_> = fs::read_dir(dir.path().join("crops"))
        .unwrap()
        .map(|one| one.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a", "c"]);
    assert_eq!(
        read(dir.path().join(".gemscope/files.jsonl")).lines().count(),
        3,
        "two files and their folder"
    );
}

#[test]
fn a_new_directory_is_empty_or_of_gemscope() {
    let dir = tempfile::tempdir().unwrap();
    let open =
        |name: &str, adopt| OutputDirectory::open_new(&dir.path().join(name), &["crops"], adopt);
    write(&dir.path().join("photos/a.jpg"), "mine");
    assert!(matches!(open("photos", false), Err(OwnershipError::NotEmpty(_))));
    drop(open("photos", true).unwrap());
    assert!(
        matches!(open("photos", false), Err(OwnershipError::NotEmpty(_))),
        "nothing was written there"
    );
    put(&open("photos", true).unwrap(), &[("a", "1")]).unwrap();
    drop(open("photos", false).unwrap());
    drop(open("new", false).unwrap());
    drop(open("new", false).unwrap());
    write(&dir.path().join("of-before/crops/a"), "1");
    drop(open("of-before", false).unwrap());
}
