//! Rating and label of frames in XMP, for photo managers: in files beside them, or in their own.
//!
//! In: a judged run. Out: `a.xmp` beside `a.png`, with `xmp:Rating` (5 keep, 3 review, -1 reject)
//! and `xmp:Label` (Green, Yellow, Red). Promises: a file that is there keeps all its other fields,
//! byte for byte, and its permissions; one that is no XMP in UTF-8, or a symbolic link, is left as
//! it is, and said. A file is whole or not there.
//!
//! Source: the XMP specification, part 1 (ISO 16684-1), 7 and 8; -1 is Adobe's "rejected".

mod in_files;
mod packet;
mod splice;

use std::io::{self, ErrorKind};
use std::path::Path;

use self::packet::{new, rated, utf_8};
use super::super::upright::Images;
use super::super::{ExportError, Run};
use super::Critique;
use crate::critique::Verdict;
use crate::files;
use crate::source::EXTENSIONS;
pub use in_files::rate_in_files;

/// What became of the frames.
#[derive(Debug, Default)]
pub struct RatedFrames {
    /// How many have the rating now.
    pub rated: usize,
    /// The frames whose rating could not be written, each with the reason.
    pub left: Vec<(String, String)>,
}

/// Writes the verdicts of `critique` into files beside its frames.
///
/// # Errors
/// [`ExportError`] if the folder of the frames is not known, or out of reach.
pub fn rate_in_xmp(critique: &Critique<'_>, run: &Run) -> Result<RatedFrames, ExportError> {
    let images = Images::of(run, critique.records)?;
    let mut rated = RatedFrames::default();
    for (record, judged) in critique.records.iter().zip(&critique.judged) {
        if !images.is_there(record) {
            continue;
        }
        let written = match images.file(record) {
            Some(path) => write(&path, judged.verdict),
            None => Err("is in an archive".to_owned()),
        };
        match written {
            Ok(()) => rated.rated += 1,
            Err(reason) => rated.left.push((record.image.clone(), reason)),
        }
    }
    Ok(rated)
}

fn write(frame: &Path, verdict: Verdict) -> Result<(), String> {
    let others = EXTENSIONS.iter().map(|end| (end, frame.with_extension(end)));
    let mut others = others.filter(|(_, other)| other != frame);
    if let Some((end, _)) = others.find(|(_, other)| other.exists()) {
        return Err(format!("the .{end} beside it would have the same .xmp"));
    }
    let path = frame.with_extension("xmp");
    let (rating, label) = words(verdict);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    rate(&path, rating, label).map_err(|why| format!("{name}: {why}"))
}

/// The rating and the label that stand for a verdict.
fn words(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Keep => ("5", "Green"),
        Verdict::Review => ("3", "Yellow"),
        Verdict::Reject => ("-1", "Red"),
    }
}

/// Gives the file at `path` the rating and the label, or makes it.
fn rate(path: &Path, rating: &str, label: &str) -> Result<(), String> {
    let said = |error: io::Error| error.to_string();
    let file = match files::open_unlinked(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return files::replace_alike(path, new(rating, label).as_bytes(), None).map_err(said);
        }
        Err(error) => return Err(said(error)),
    };
    let permissions = file.metadata().map_err(said)?.permissions();
    let text = utf_8(files::read_within(file, files::MAX_TEXT_BYTES).map_err(said)?)?;
    let edited = rated(&text, rating, label)?;
    if edited == text {
        return Ok(());
    }
    files::replace_alike(path, edited.as_bytes(), Some(permissions)).map_err(said)
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_file_that_is_no_xmp_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["a.png", "b.png", "c.png", "c.jpg"] {
            std::fs::write(path(name), "").unwrap();
        }
        std::fs::write(path("b.xmp"), "mine").unwrap();
        assert_eq!(write(&path("a.png"), Verdict::Reject), Ok(()));
        assert_eq!(write(&path("a.png"), Verdict::Keep), Ok(()));
        assert_eq!(std::fs::read_to_string(path("a.xmp")).unwrap(), new("5", "Green"));
        assert!(write(&path("b.png"), Verdict::Keep).is_err());
        assert_eq!(std::fs::read(path("b.xmp")).unwrap(), b"mine");
        assert!(write(&path("c.png"), Verdict::Keep).unwrap_err().contains(".jpg"));
    }

    #[test]
    fn only_utf_8_is_edited() {
        let dir = tempfile::tempdir().unwrap();
        let (frame, path) = (dir.path().join("a.png"), dir.path().join("a.xmp"));
        let text = new("3", "Yellow");
        let in_utf_16 = |text: &str, unit: fn(u16) -> [u8; 2]| {
            text.encode_utf16().flat_map(unit).collect::<Vec<u8>>()
        };
        let declared = |label: &str| format!("<?xml version=\"1.0\" encoding='{label}'?>\n{text}");
        let latin = [declared("ISO-8859-1").as_bytes(), b"<!-- caf\xe9 -->"].concat();
        for (encoding, bytes) in [
            ("UTF-16LE", in_utf_16(&format!("\u{feff}{text}"), u16::to_le_bytes)),
            ("UTF-16BE", in_utf_16(&format!("\u{feff}{text}"), u16::to_be_bytes)),
            ("UTF-16LE", in_utf_16(&text, u16::to_le_bytes)),
            ("UTF-16BE", in_utf_16(&declared("UTF-16"), u16::to_be_bytes)),
            ("UTF-16", declared("UTF-16").into_bytes()),
            ("windows-1252", declared("windows-1252").into_bytes()),
            ("ISO-8859-1", latin),
            ("UTF-8", [text.as_bytes(), b"<!-- caf\xe9 -->"].concat()),
        ] {
            std::fs::write(&path, &bytes).unwrap();
            let said = write(&frame, Verdict::Keep).expect_err(encoding);
            assert!(said.contains("a.xmp") && said.contains(encoding), "{said}");
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "{encoding}");
        }
        for before in ["", "\u{feff}", "\u{feff}<?xml version='1.0' encoding=\"utf-8\"?>\r"] {
            // Not even the ends of lines of an old Mac are changed.
            let text =
                |rating, label| format!("{before}{}", new(rating, label).replace('\n', "\r"));
            std::fs::write(&path, text("3", "Yellow")).unwrap();
            assert_eq!(write(&frame, Verdict::Keep), Ok(()));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text("5", "Green"));
        }
    }

    #[test]
    fn nothing_else_in_the_folder_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["a.xmp", "b.xmp"] {
            let part = path(&format!(".{name}.gemscope-part"));
            std::fs::write(&part, "mine").unwrap();
            if name == "a.xmp" {
                std::fs::write(path(name), new("3", "Yellow")).unwrap();
            }
            let frame = path(name).with_extension("png");
            assert_eq!(write(&frame, Verdict::Keep), Ok(()), "{name}");
            assert_eq!(std::fs::read_to_string(path(name)).unwrap(), new("5", "Green"));
            assert_eq!(std::fs::read(&part).unwrap(), b"mine");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4, "no temporary is left");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.xmp");
        for mode in [0o600, 0o664, 0o440] {
            std::fs::write(&path, new("3", "Yellow")).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(write(&dir.path().join("a.png"), Verdict::Keep), Ok(()));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), new("5", "Green"));
            let kept = path.metadata().unwrap().permissions().mode() & 0o7777;
            assert_eq!(kept, mode, "{kept:o}");
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("mine.xmp"), new("3", "Yellow")).unwrap();
        for (link, target) in [("a.xmp", "mine.xmp"), ("b.xmp", "missing.xmp")] {
            std::os::unix::fs::symlink(target, path(link)).unwrap();
            let said = write(&path(link).with_extension("png"), Verdict::Keep).unwrap_err();
            assert!(said.contains(link) && said.contains("symbolic link"), "{said}");
            assert_eq!(std::fs::read_link(path(link)).unwrap(), Path::new(target));
        }
        assert_eq!(std::fs::read_to_string(path("mine.xmp")).unwrap(), new("3", "Yellow"));
        assert!(!path("missing.xmp").exists());
    }
}
