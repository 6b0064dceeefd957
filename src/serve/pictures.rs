//! Images that requests hold or name.
//!
//! In: Base64, or a path. Out: the bytes of an image, or its file and how long that is. Promises: a
//! path never leads out of the folder of images, also not through a link.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;

use super::reply::Refusal;
use crate::source::{leads_out, path_of};

/// The bytes of Base64, or of a `data:` URL of it.
pub(super) fn decoded(image: &str) -> Result<Vec<u8>, Refusal> {
    let text = match image.strip_prefix("data:") {
        Some(url) => url.split_once(";base64,").map(|(_, text)| text),
        None => Some(image),
    };
    let text = text.ok_or_else(|| Refusal::bad("image is a data: URL that is not in Base64"))?;
    let bytes = STANDARD.decode(text.trim());
    bytes.map_err(|error| Refusal::bad(format!("image is no Base64: {error}")))
}

/// The file of an image in the folder, and its bytes.
pub(super) fn file_of_folder(folder: Option<&Path>, name: &str) -> Result<(PathBuf, u64), Refusal> {
    let path = in_folder(folder, name)?;
    let metadata = path.metadata();
    let metadata =
        metadata.map_err(|error| Refusal::bad(format!("{name} cannot be read: {error}")))?;
    if !metadata.is_file() {
        return Err(Refusal::bad(format!("{name} is no file")));
    }
    Ok((path, metadata.len()))
}

/// The file of an image in the folder.
pub(super) fn in_folder(folder: Option<&Path>, name: &str) -> Result<PathBuf, Refusal> {
    let folder = folder.ok_or_else(|| {
        Refusal::bad(
            "images are not named here: the server was begun without a folder of images; send it",
        )
    })?;
    let gone = || Refusal::new(StatusCode::NOT_FOUND, format!("there is no image {name}"));
    let path = path_of(name);
    if leads_out(&path) {
        return Err(gone());
    }
    // Followed to its end: a link may lead out of the folder.
    let path = folder.join(path).canonicalize().map_err(|_| gone())?;
    let folder = folder.canonicalize().map_err(|_| gone())?;
    if path.starts_with(&folder) { Ok(path) } else { Err(gone()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leads_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("a.png"), "image").unwrap();
        std::fs::write(dir.path().join("secret"), "secret").unwrap();
        let read = |name: &str| file_of_folder(Some(&inner), name);
        assert_eq!(read("a.png").unwrap().1, 5);
        for name in ["../secret", "/etc/passwd", "x/../../secret", "b.png", ""] {
            assert!(read(name).is_err(), "{name}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(dir.path().join("secret"), inner.join("link.png")).unwrap();
            assert!(read("link.png").is_err());
        }
        assert!(file_of_folder(None, "a.png").is_err());
    }
}
