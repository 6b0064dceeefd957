//! Names of images, as tools on other machines write them.
//!
//! In: a path with backslashes, an absolute path, an address on the web or on a Label Studio
//! server. Out: the name below the folder of the images. Promises: an image that is there under a
//! tail of its name is found by the longest such tail; nothing that leads out of a folder is left.

use std::path::{Component, Path};

use super::counted::counted;
use super::reading::find_image;

/// The names below the images' folder that `written` stand for, and how many of them were no
/// relative paths. The images may lie in `folders`. Names of which no tail is there lose the
/// folders that all of them have in common.
pub(super) fn relative(written: &[&str], folders: &[&Path]) -> (Vec<String>, usize) {
    let mut names: Vec<String> = Vec::with_capacity(written.len());
    // Places in `names`, and the parts of the path.
    let mut elsewhere: Vec<(usize, Vec<String>)> = Vec::new();
    let mut foreign = 0;
    for (place, written) in written.iter().enumerate() {
        let slashes = written.replace('\\', "/");
        let plain = slashes.trim_start_matches("./");
        let normal = |part| matches!(part, Component::Normal(_));
        let inner = Path::new(plain).components().all(normal);
        if inner && !is_address(plain) && !has_drive(plain) {
            let parts = plain.split('/').filter(|part| !matches!(*part, "" | "."));
            names.push(parts.collect::<Vec<_>>().join("/"));
            continue;
        }
        foreign += 1;
        let path = if is_address(plain) { path_of_address(plain) } else { plain.to_owned() };
        let parts = path.split('/').filter(|part| !matches!(*part, "" | "." | ".." | "~"));
        let parts: Vec<&str> = parts.skip(usize::from(has_drive(&path))).collect();
        let tail = (0..parts.len()).map(|from| parts[from..].join("/"));
        let found = tail.into_iter().find(|tail| find_image(tail, folders).is_some());
        let found = found.or_else(|| uploaded(&path, folders));
        if found.is_none() {
            elsewhere.push((place, parts.into_iter().map(str::to_owned).collect()));
        }
        names.push(found.unwrap_or_default());
    }
    let folder = |parts: &[String]| parts[..parts.len().saturating_sub(1)].to_vec();
    let common = elsewhere.iter().map(|(_, parts)| folder(parts)).reduce(|mut a, b| {
        let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        a.truncate(same);
        a
    });
    let common = common.map_or(0, |common| common.len());
    for (place, parts) in elsewhere {
        names[place] = parts[common..].join("/");
    }
    (names, foreign)
}

/// Says how many names were cut.
pub(super) fn remark(foreign: usize, remarks: &mut Vec<String>) {
    if foreign > 0 {
        let foreign = counted(
            foreign,
            "image is named by an absolute path or address",
            "images are named by absolute paths or addresses",
        );
        remarks.push(format!(
            "{foreign}: the tail of each that is there counts, else what follows the folders that \
             they have in common"
        ));
    }
}

/// The name before its upload of a file on a Label Studio server, which puts eight signs of a hash
/// before it; if that is there.
fn uploaded(path: &str, folders: &[&Path]) -> Option<String> {
    let last = path.rsplit('/').next().filter(|_| path.contains("upload/"))?;
    let (hash, name) = last.split_once('-')?;
    let is_hash = hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hash && find_image(name, folders).is_some()).then(|| name.to_owned())
}

fn is_address(name: &str) -> bool {
    name.contains("://")
        || name.starts_with("/data/local-files/")
        || name.starts_with("/data/upload/")
}

fn has_drive(name: &str) -> bool {
    let mut signs = name.chars();
    signs.next().is_some_and(|letter| letter.is_ascii_alphabetic()) && signs.next() == Some(':')
}

/// The path in an address, decoded: what stands in `?d=` on a Label Studio server.
fn path_of_address(address: &str) -> String {
    let path = if let Some((_, path)) = address.split_once("/data/local-files/?d=") {
        path.split('&').next().unwrap_or_default()
    } else {
        let path = address.split(['?', '#']).next().unwrap_or_default();
        path.split_once("://").map_or(path, |(_, path)| path)
    };
    decoded(path)
}

/// Text without its per-cent codes (RFC 3986); as it is where they are no UTF-8.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match tail {
            [high, low, ..] if *first == b'%' => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|hex| u8::from_str_radix(hex, 16).ok()),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_machines_are_made_relative() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("imgs")).unwrap();
        std::fs::write(dir.path().join("imgs/a b.jpg"), "").unwrap();
        std::fs::write(dir.path().join("u.jpg"), "").unwrap();
        let folders = [dir.path()];
        let cases = [
            ("a.jpg", "a.jpg"),
            ("sub//./b.jpg", "sub/b.jpg"),
            (".\\sub\\a.jpg", "sub/a.jpg"),
            ("/home/bob/imgs/a b.jpg", "imgs/a b.jpg"),
            ("C:\\data\\imgs\\a b.jpg", "imgs/a b.jpg"),
            ("../other/u.jpg", "u.jpg"),
            ("/data/local-files/?d=imgs/a%20b.jpg", "imgs/a b.jpg"),
            ("/data/upload/3/0123abcd-u.jpg", "u.jpg"),
        ];
        let (names, foreign) = relative(&cases.map(|(written, _)| written), &folders);
        assert_eq!((names, foreign), (cases.map(|(_, name)| name.to_owned()).to_vec(), 5));
        // What is not there keeps what tells it from the others.
        let gone = ["/data/imgs/x/a.jpg", "/data/imgs/y/a.jpg", "b.jpg"];
        assert_eq!(relative(&gone, &folders).0, ["x/a.jpg", "y/a.jpg", "b.jpg"]);
        for (written, name) in [
            ("/data/imgs/x.jpg", "x.jpg"),
            ("http://host:8080/data/local-files/?d=gone%2Fb.jpg&x=1", "b.jpg"),
            ("/data/upload/3/0123abcd-v.jpg", "0123abcd-v.jpg"),
            ("https://x.org/i.jpg?d=1&e=2", "i.jpg"),
            ("s3://bucket/folder/i.jpg", "i.jpg"),
            ("..", ""),
        ] {
            assert_eq!(relative(&[written], &folders), (vec![name.to_owned()], 1), "{written}");
        }
        assert_eq!(decoded("100%"), "100%");
    }
}
