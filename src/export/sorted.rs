//! `sorted/`: the images themselves, in folders.
//!
//! In: a run, its images, and the folders that each belongs in: its verdict, or what was found in
//! it. Out: links to the images, or copies. Promises: the images stay where they are; no path
//! leaves the folder; a copy is of the very file that was answered about; files that the user keeps
//! in the folder stay (captions, retouched copies); an image is in `empty` only if its whole answer
//! says that nothing is there.

use std::collections::BTreeSet;

use super::folder::{Fresh, inside};
use super::options::SortBy;
use super::select::Chosen;
use super::upright::Images;
use super::{ExportError, Exported, Run};
use crate::digest;
use crate::ownership::OutputDirectory;
use crate::record::{AnswerStatus, Record};
use crate::source::clip_of;

/// The folder of images in which nothing is.
const EMPTY: &str = "empty";
/// The folder of images of which it is not known.
const UNSURE: &str = "unsure";

/// Sorts the images of an export: into a folder for each label that is in them, into `empty`, or
/// into `unsure`.
pub(super) fn by_label(
    run: &Run,
    chosen: &Chosen<'_>,
    sort: SortBy,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let categories = chosen.categories.iter().map(|category| folder_of(&category.name));
    let folders: Vec<String> =
        [EMPTY, UNSURE].map(str::to_owned).into_iter().chain(categories).collect();
    let folders_of = |place: usize| match (&chosen.records[place], chosen.answered[place]) {
        (record, _) if record.status == AnswerStatus::Text => BTreeSet::from([UNSURE.to_owned()]),
        (record, _) if !record.detections.is_empty() => {
            record.detections.iter().map(|found| folder_of(&found.label)).collect()
        }
        (_, true) => BTreeSet::from([EMPTY.to_owned()]),
        (_, false) => BTreeSet::from([UNSURE.to_owned()]),
    };
    write(run, &chosen.records, "sorted", &folders, folders_of, sort, out, exported)
}

/// The label, as a folder that stays inside another one and is none of the others'. What no file
/// system or not every one takes is told apart by a hash of the label.
fn folder_of(label: &str) -> String {
    const LONGEST: usize = 80;
    let fits = |character: char| {
        !character.is_control()
            && !matches!(character, '/' | '\\' | ':' | '<' | '>' | '"' | '|' | '?' | '*')
    };
    let plain = label.chars().all(fits)
        && !label.is_empty()
        && label.len() <= LONGEST
        && label.trim() == label
        && !label.starts_with('.')
        && !label.ends_with('.')
        && ![EMPTY, UNSURE].iter().any(|own| own.eq_ignore_ascii_case(label));
    if plain {
        return label.to_owned();
    }
    let words = label.split(|character: char| !character.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let words: String = words.join("-").chars().take(LONGEST / 4).collect();
    format!("{words}-{:08x}", digest::number(label) >> 32)
}

/// Sorts the images of `records` into the folder `name`, each into `folders_of` its place, where an
/// empty one is the folder itself. `folders` are there without an image, too.
#[allow(clippy::too_many_arguments)] // each is one thing
pub(super) fn write(
    run: &Run,
    records: &[Record],
    name: &'static str,
    folders: &[String],
    folders_of: impl Fn(usize) -> BTreeSet<String>,
    sort: SortBy,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let images = Images::of(run, records)?;
    let sorted = Fresh::begin(out, name)?;
    for folder in folders {
        sorted.folder(folder)?;
    }
    for (place, record) in records.iter().enumerate() {
        let names = folders_of(place);
        // A frame of a video has no file, and gets one.
        let ending = if clip_of(&record.image).is_some() { ".png" } else { "" };
        let file = format!("{}{ending}", inside(&record.image));
        let names = names.iter().map(|folder| match folder.as_str() {
            "" => file.clone(),
            folder => format!("{folder}/{file}"),
        });
        if let Err(reason) = put(&sorted, &images, record, names, sort)? {
            exported.remarks.push(format!("{name}: {}: {reason}", record.image));
            exported.images_missed += 1;
        }
    }
    sorted.put(exported)
}

/// Puts an image under each of `names`; the inner error says why it is not there.
pub(super) fn put(
    sorted: &Fresh<'_>,
    images: &Images<'_>,
    record: &Record,
    names: impl Iterator<Item = String>,
    sort: SortBy,
) -> Result<Result<(), String>, ExportError> {
    let mut done = Ok(());
    if record.clip.is_some() && sort != SortBy::Link {
        // What is known of its content here is one frame.
        return Ok(Err("a whole clip is sorted by links, not copied".to_owned()));
    }
    if let Some(file) = images.file(record).filter(|_| sort == SortBy::Link) {
        // A link that leads nowhere would be found only when the images are needed.
        let Ok(file) = file.canonicalize() else {
            return Ok(Err("is not there any more".to_owned()));
        };
        for name in names {
            done = done.and(sorted.link_named(&name, &file, record.sha256.as_ref())?);
        }
    } else {
        let bytes = match images.bytes(record) {
            Ok(bytes) if clip_of(&record.image).is_some() => images.png(record, &bytes),
            bytes => bytes,
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(reason) => return Ok(Err(reason)),
        };
        for name in names {
            done = done.and(sorted.copy_named(&name, &bytes, &images.original(record))?);
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_folders_of_their_own() {
        for label in ["person", "Red circle", "étoile", "a.b"] {
            assert_eq!(folder_of(label), label);
        }
        let odd = ["../person", "a/b", "a:b", "empty", "Unsure", ".hidden", "", "x.", " x", "a\nb"];
        let folders: BTreeSet<String> = odd.iter().map(|label| folder_of(label)).collect();
        assert_eq!(folders.len(), odd.len(), "{folders:?}");
        let fits = |name: &String| !name.contains(['/', '\\', ':', '.', '\n']) && !name.is_empty();
        assert!(folders.iter().all(fits), "{folders:?}");
        assert!(folder_of(&"long ".repeat(100)).len() < 60);
    }
}
