//! Runs of several machines, each about a part of the images, as one run.
//!
//! In: the directories of the shards. Out: the manifest and the records that one machine would have
//! written. Promises: shards of different settings, one that is there twice and one that is missing
//! or unfinished are refused by name, so that what comes out is about every image, and about each
//! once.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::difference::{self, Difference};
use super::directory::RunDirectory;
use super::error::{RunDirectoryError, lines};
use super::records::ResumeIndex;
use crate::files;
use crate::record::{Manifest, Record, Shard};
use crate::source::Source;

/// What a shard listed when it was begun last, in its run's directory.
const FILE: &str = "shard.json";

/// Images, or shards, that are named at most; the others are counted.
const NAMED: usize = 5;

/// Why runs are not the shards of one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShardsError {
    /// Some of the runs are shards, others are not.
    #[error(
        "{} is shard {shard} of a run, and {} is no shard: shards are joined with shards",
        is.display(),
        is_not.display()
    )]
    NoShard {
        /// A shard.
        is: PathBuf,
        /// Which one.
        shard: Shard,
        /// One that is none.
        is_not: PathBuf,
    },
    /// The images were divided in different ways.
    #[error(
        "{} is shard {shard}, and {} is shard {other_shard}: images were divided into {} and {} \
         parts",
        path.display(),
        other.display(),
        shard.count(),
        other_shard.count()
    )]
    OtherCount {
        /// A shard.
        path: PathBuf,
        /// Which one.
        shard: Shard,
        /// The other.
        other: PathBuf,
        /// Which one that is.
        other_shard: Shard,
    },
    /// Another question, model or choice of boxes.
    #[error(
        "{} (shard {shard}) was made with other settings than {}:\n{}",
        path.display(),
        other.display(),
        lines(differences)
    )]
    OtherSettings {
        /// A shard.
        path: PathBuf,
        /// Which one.
        shard: Shard,
        /// The one that it differs from.
        other: PathBuf,
        /// From that one to this.
        differences: Vec<Difference>,
    },
    /// One shard, twice.
    #[error("{} and {} overlap: both are shard {shard}", path.display(), other.display())]
    Twice {
        /// A run.
        path: PathBuf,
        /// The other.
        other: PathBuf,
        /// What both are.
        shard: Shard,
    },
    /// An answer about an image of another shard.
    #[error(
        "{} (shard {shard}) has an answer about {image}, which is of shard {belongs}: they overlap",
        path.display()
    )]
    Stranger {
        /// A run.
        path: PathBuf,
        /// Which shard it is.
        shard: Shard,
        /// The image.
        image: String,
        /// The shard to which that belongs.
        belongs: Shard,
    },
    /// The names of the shards' images are relative to different folders.
    #[error(
        "the images of {} are in {}, those of {} in {}: say in which folder all are now",
        path.display(),
        root.display(),
        other.display(),
        other_root.display()
    )]
    Roots {
        /// A run.
        path: PathBuf,
        /// Its folder.
        root: PathBuf,
        /// The other.
        other: PathBuf,
        /// Its folder.
        other_root: PathBuf,
    },
    /// Shards, or images of them, are missing.
    #[error("these shards are not the whole run:\n  {}", missing.join("\n  "))]
    Incomplete {
        /// What is missing, a line each.
        missing: Vec<String>,
    },
    /// What a shard listed cannot be read.
    #[error("{}: {reason}", path.display())]
    Listed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The images that a shard found when it was begun last.
#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    /// How many images there were, of all shards.
    images_of_all_shards: usize,
    /// The names of its own, sorted.
    images: Vec<String>,
}

impl RunDirectory {
    /// Keeps the names of the images of `source`, which are a shard, for [`join`] to know whether
    /// all were asked about.
    ///
    /// # Errors
    /// [`RunDirectoryError`].
    pub(crate) fn write_shard_images(&self, source: &Source) -> Result<(), RunDirectoryError> {
        let images: Vec<String> = source.images.iter().map(|image| image.name.clone()).collect();
        let images_of_all_shards = images.len() + source.other_shards.len();
        let listed = serde_json::to_vec_pretty(&Listed { images_of_all_shards, images });
        let path = self.output().join(FILE);
        let listed =
            listed.map_err(|error| RunDirectoryError::Directory { path, error: error.into() })?;
        self.output().write(FILE, &listed)?;
        Ok(())
    }
}

/// The run of one shard, or one that is thought to be.
#[derive(Debug)]
pub struct ShardRun {
    /// Its directory.
    pub path: PathBuf,
    /// Its manifest; the filters are those that are to be shown.
    pub manifest: Manifest,
    /// Its records.
    pub records: Vec<Record>,
}

impl ShardRun {
    /// What it found when it was begun last; `None` if it was killed before it knew.
    fn listed(&self) -> Result<Option<Listed>, ShardsError> {
        let path = self.path.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let read = files::read(&path, files::MAX_TEXT_BYTES).map_err(|error| error.to_string());
        let listed = read
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
        listed.map(Some).map_err(|reason| ShardsError::Listed { path, reason })
    }

    /// Of the images that it found, those that it has no record of.
    fn unanswered<'l>(&self, listed: &'l Listed) -> Vec<&'l str> {
        let answered: HashSet<&str> =
            self.records.iter().map(|record| record.image.as_str()).collect();
        let names = listed.images.iter().map(String::as_str);
        names.filter(|image| !answered.contains(image)).collect()
    }
}

/// The shards of a run as that run.
#[derive(Debug)]
pub struct JoinedShards {
    /// Its manifest, of no shard.
    pub manifest: Manifest,
    /// Its records, sorted by image.
    pub records: Vec<Record>,
    /// What is to be said about it.
    pub remarks: Vec<String>,
}

/// Joins `shards` to the run of one machine. The names of their images are relative to `images`, or
/// to the one folder that the manifests name. With `partial`, what is missing is a remark.
///
/// # Errors
/// [`ShardsError`] if they are not all shards of one run, each once; none of the files is changed.
pub fn join(
    mut shards: Vec<ShardRun>,
    images: Option<PathBuf>,
    partial: bool,
) -> Result<JoinedShards, ShardsError> {
    let numbered = numbers(&shards)?;
    let mut remarks = Vec::new();
    let missing = missing(&shards, &numbered, &mut remarks)?;
    if !missing.is_empty() {
        if !partial {
            return Err(ShardsError::Incomplete { missing });
        }
        remarks.extend(missing);
    }
    let root = match images {
        Some(images) => Some(images),
        None => one_root(&shards)?,
    };
    let started = shards.iter().filter_map(|shard| shard.manifest.started).min();
    let mut records: Vec<Record> =
        shards.iter_mut().flat_map(|shard| std::mem::take(&mut shard.records)).collect();
    records.sort_by(|one, other| one.image.cmp(&other.image));
    // Names are those of now, and the shards were compared with each other: any manifest will do,
    // and the first is the same one in whatever order they are given.
    shards.sort_by_key(|shard| shard.manifest.shard);
    let first = shards.swap_remove(0).manifest;
    let manifest = Manifest { root, renamed: Vec::new(), shard: None, started, ..first };
    Ok(JoinedShards { manifest, records, remarks })
}

impl RunDirectory {
    /// Adds the records of `shards`, which were found to be one whole, to the run here: all of a
    /// record, with the raw answer. Records that the run has already stay as they are. Gives the
    /// number of added ones.
    ///
    /// # Errors
    /// [`RunDirectoryError::Journal`].
    pub fn add_shards(&self, shards: &[PathBuf]) -> Result<usize, RunDirectoryError> {
        let (mut journal, there) = self.journal(Duration::from_secs(1))?;
        let mut added = 0;
        for shard in shards {
            let known = ResumeIndex::read(shard)?;
            let mut images: Vec<_> = known.iter().collect();
            images.sort_by_key(|(image, _)| *image);
            // A shard that no image fell to has no journal.
            let mut reader = if images.is_empty() { None } else { Some(known.reader(shard)?) };
            for (image, known) in images {
                let has = there.get(image).is_some_and(|there| {
                    let same = (&there.sha256, &there.question) == (&known.sha256, &known.question);
                    same && (there.answered || !known.answered)
                });
                if let Some(record) =
                    reader.as_mut().filter(|_| !has).and_then(|from| from.read(known))
                {
                    // Where the shard knew it from is not known here.
                    journal.append(&Record { moved_from: None, ..record })?;
                    added += 1;
                }
            }
        }
        journal.sync()?;
        Ok(added)
    }
}

/// Which shard each of the runs is: shards of one run, each there once, with images of its own.
fn numbers(shards: &[ShardRun]) -> Result<Vec<Shard>, ShardsError> {
    let first = shards.iter().find_map(|run| Some((run, run.manifest.shard?)));
    let (Some((first, shard)), Some(_)) = (first, shards.first()) else {
        return Err(ShardsError::Incomplete { missing: vec!["no shard is given".to_owned()] });
    };
    let mut numbers = Vec::with_capacity(shards.len());
    for run in shards {
        let path = || run.path.clone();
        let Some(number) = run.manifest.shard else {
            return Err(ShardsError::NoShard { is: first.path.clone(), shard, is_not: path() });
        };
        if number.count() != shard.count() {
            let (path, other) = (first.path.clone(), path());
            return Err(ShardsError::OtherCount { path, shard, other, other_shard: number });
        }
        let differences = difference::between(&first.manifest, &run.manifest);
        if !differences.is_empty() {
            let (path, other) = (path(), first.path.clone());
            return Err(ShardsError::OtherSettings { path, shard: number, other, differences });
        }
        if let Some(there) = numbers.iter().position(|there| *there == number) {
            let path = shards[there].path.clone();
            return Err(ShardsError::Twice { path, other: run.path.clone(), shard: number });
        }
        if let Some(record) = run.records.iter().find(|record| !number.holds(&record.image)) {
            return Err(ShardsError::Stranger {
                path: path(),
                shard: number,
                image: record.image.clone(),
                belongs: Shard::of(&record.image, number.count()),
            });
        }
        numbers.push(number);
    }
    Ok(numbers)
}

/// What is missing of the run, a line each. That files came or went between the shards is a remark.
fn missing(
    shards: &[ShardRun],
    numbers: &[Shard],
    remarks: &mut Vec<String>,
) -> Result<Vec<String>, ShardsError> {
    let count = numbers.first().map_or(0, |shard| shard.count());
    let mut missing = Vec::new();
    let absent = (0..count).filter(|index| numbers.iter().all(|there| there.index() != *index));
    let absent: Vec<String> = absent.map(|index| format!("{index}/{count}")).collect();
    if !absent.is_empty() {
        missing.push(format!("no run is shard {}", named(&absent, " or ")));
    }
    let (mut together, mut totals) = (0, Vec::new());
    for (run, shard) in shards.iter().zip(numbers) {
        let path = run.path.display();
        let Some(listed) = run.listed()? else {
            missing.push(format!("{path} (shard {shard}) was stopped before it began"));
            continue;
        };
        let unanswered = run.unanswered(&listed);
        if !unanswered.is_empty() {
            let images = listed.images.len();
            let names = named(&unanswered, ", ");
            let of = format!("{} of its {images} images", unanswered.len());
            missing.push(format!("{path} (shard {shard}) has no record of {of}: {names}"));
        }
        together += listed.images.len();
        totals.push(listed.images_of_all_shards);
    }
    if missing.is_empty() && totals.iter().any(|total| *total != together) {
        let (least, most) = (totals.iter().min(), totals.iter().max());
        remarks.push(format!(
            "the shards found {} to {} images in all, and have {together} together: files were \
             added, \
             removed or renamed between them. Each shard's command again takes what is there now",
            least.unwrap_or(&0),
            most.unwrap_or(&0)
        ));
    }
    Ok(missing)
}

/// The folder that the names of all are relative to.
fn one_root(shards: &[ShardRun]) -> Result<Option<PathBuf>, ShardsError> {
    let resolved = |root: &Path| std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let mut roots = shards.iter().filter_map(|run| Some((run, run.manifest.root.as_deref()?)));
    let Some((first, root)) = roots.next() else { return Ok(None) };
    match roots.find(|(_, other)| *other != root && resolved(other) != resolved(root)) {
        None => Ok(Some(root.to_owned())),
        Some((run, other)) => Err(ShardsError::Roots {
            path: first.path.clone(),
            root: root.to_owned(),
            other: run.path.clone(),
            other_root: other.to_owned(),
        }),
    }
}

/// The first of `names`, and how many more there are.
fn named(names: &[impl AsRef<str>], between: &str) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    let more = names.len().saturating_sub(NAMED);
    let first = first.join(between);
    if more > 0 { format!("{first} and {more} more") } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::record::{Budget, BudgetChoice, ModelIdentity, Settings};

    /// The shards of a run about `images`, in directories of `dir`, each with all its records.
    fn shards(dir: &Path, images: &[&str], count: u32) -> Vec<ShardRun> {
        let budget = BudgetChoice::Fixed(Budget::USUAL);
        let settings = Settings::of(budget, ModelIdentity::default());
        let shard = |index| {
            let shard = Shard::new(index, count).unwrap();
            let own = || images.iter().filter(|image| shard.holds(image));
            let path = dir.join(index.to_string());
            std::fs::create_dir_all(&path).unwrap();
            let images = own().map(|image| (*image).to_owned()).collect();
            let listed = Listed { images_of_all_shards: 20, images };
            std::fs::write(path.join(FILE), serde_json::to_vec(&listed).unwrap()).unwrap();
            let records =
                own().map(|image| Record::failed((*image).to_owned(), String::new())).collect();
            let manifest = Manifest::new(Some("/r".into()), Some(settings.clone()));
            ShardRun { path, manifest: manifest.with_shard(Some(shard)), records }
        };
        (0..count).map(shard).collect()
    }

    fn names() -> Vec<String> {
        (0..20).map(|number| format!("{number:02}.png")).collect()
    }

    fn refused(shards: Vec<ShardRun>) -> String {
        join(shards, None, false).unwrap_err().to_string()
    }

    #[test]
    fn shards_are_the_run_of_one_machine() {
        let dir = tempfile::tempdir().unwrap();
        let names = names();
        let images: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut given = shards(dir.path(), &images, 3);
        given.reverse();
        given[0].manifest.started = Some(1);
        let joined = join(given, None, false).unwrap();
        let together: Vec<&str> =
            joined.records.iter().map(|record| record.image.as_str()).collect();
        assert_eq!(together, images);
        assert_eq!((joined.manifest.shard, joined.manifest.started), (None, Some(1)));
        assert_eq!((joined.manifest.root, joined.remarks), (Some("/r".into()), Vec::new()));
    }

    #[test]
    fn what_is_not_one_whole_run_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let names = names();
        let images: Vec<&str> = names.iter().map(String::as_str).collect();
        let at = |index: u32| dir.path().join(index.to_string()).display().to_string();
        let all = || shards(dir.path(), &images, 4);

        let mut two_missing = all();
        two_missing.truncate(2);
        assert!(refused(two_missing).ends_with("no run is shard 2/4 or 3/4"));

        let mut unfinished = all();
        let lost = unfinished[1].records.pop().unwrap().image;
        let of = unfinished[1].records.len() + 1;
        let error = refused(unfinished);
        let says = format!("{} (shard 1/4) has no record of 1 of its {of} images: {lost}", at(1));
        assert!(error.ends_with(&says), "{error}");

        let mut twice = all();
        twice[3].manifest.shard = twice[2].manifest.shard;
        let error = refused(twice);
        assert_eq!(error, format!("{} and {} overlap: both are shard 2/4", at(2), at(3)));

        let mut other = all();
        if let Some(settings) = &mut other[2].manifest.settings {
            settings.max_new_tokens = 7;
        }
        let error = refused(other);
        assert!(error.starts_with(&format!("{} (shard 2/4) was made with other settings", at(2))));
        assert!(error.ends_with("  max_new_tokens: 0 -> 7"), "{error}");
        let mut other = all();
        other[1].manifest.filters.strict_labels = true;
        assert!(refused(other).contains("filters.strict_labels: false -> true"));

        let mut stranger = all();
        stranger[0].records.push(Record::failed("a.png".into(), String::new()));
        let error = refused(stranger);
        assert!(error.contains("(shard 0/4) has an answer about a.png, which is of shard 2/4"));

        let mut mixed = all();
        mixed[3].manifest.shard = None;
        assert!(refused(mixed).contains(&format!("{} is no shard", at(3))));
        let mut divided = all();
        divided[3].manifest.shard = Shard::new(3, 5).ok();
        assert!(refused(divided).contains("is shard 3/5: images were divided into 4 and 5 parts"));
        let mut moved = all();
        moved[3].manifest.root = Some("/elsewhere".into());
        assert!(refused(moved).contains("say in which folder all are now"));

        let mut begun = all();
        begun[0].records.clear();
        std::fs::remove_file(begun[0].path.join(FILE)).unwrap();
        let error = refused(begun);
        assert!(error.ends_with(&format!("{} (shard 0/4) was stopped before it began", at(0))));
    }

    #[test]
    fn a_part_is_had_on_request_and_files_that_came_later_are_said() {
        let dir = tempfile::tempdir().unwrap();
        let names = names();
        let mut images: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut part = shards(dir.path(), &images, 4);
        part.truncate(1);
        let own = part[0].records.len();
        let joined = join(part, None, true).unwrap();
        assert_eq!((joined.records.len(), joined.remarks.len()), (own, 1));
        assert!(joined.remarks[0].contains("no run is shard 1/4 or 2/4 or 3/4"));

        images.push("later.png");
        let joined = join(shards(dir.path(), &images, 4), Some("/now".into()), false).unwrap();
        assert!(joined.remarks[0].contains("20 to 20 images in all, and have 21 together"));
        assert_eq!(joined.manifest.root, Some("/now".into()));
    }
}
