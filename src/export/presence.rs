//! Images that are not there any more.
//!
//! In: the records of a run, the folder that their names are relative to and, of a run that was
//! just made, the names that were listed. Out: the records whose images are there, and the number
//! of the others. Promises: the journal keeps every record. An image in an archive is there as long
//! as its archive is. If not one image can be found, the folder is out of reach (a disk that is not
//! mounted), and no record is left out.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rayon::prelude::*;

use crate::record::{AnswerStatus, Record};
use crate::source::Locator;

/// The images of a run that are not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// This number of images is not there any more.
    Some(usize),
    /// Not one of this number of images can be found, so the folder itself is out of reach.
    OutOfReach(usize),
}

impl Missing {
    /// Looks for the images of `records` in `root`, and leaves out the records of those that are
    /// not there, unless `keep` is set. Images that were `listed` by the run of now are there,
    /// whatever can be read of them.
    ///
    /// Without `root` nothing is known of the images: all records stay. So do, without `listed`,
    /// answers about images that were never read, since they were made elsewhere.
    pub fn leave_out(
        records: &mut Vec<Record>,
        root: Option<&Path>,
        listed: Option<&HashSet<&str>>,
        keep: bool,
    ) -> Self {
        let Some(root) = root else { return Self::Some(0) };
        let locator = Locator::new(root);
        let is_there = |record: &Record| match listed {
            Some(listed) => listed.contains(record.image.as_str()) || locator.exists(&record.image),
            None => was_made_elsewhere(record) || locator.exists(&record.image),
        };
        let there: Vec<bool> = records.par_iter().map(is_there).collect();
        let missing = there.iter().filter(|there| !**there).count();
        let any_there =
            records.iter().zip(&there).any(|(record, there)| *there && !was_made_elsewhere(record));
        if listed.is_none() && missing > 0 && !any_there {
            return Self::OutOfReach(missing);
        }
        if missing > 0 && !keep {
            let mut there = there.into_iter();
            records.retain(|_| there.next().unwrap_or(true));
        }
        Self::Some(missing)
    }

    /// Leaves out the records of images that are in `records` under another name: of two with one
    /// content, about which the same was asked, the name of the one is gone and the other is there.
    /// Gives their number. It is for the records of several machines, one of which may have found
    /// an image before it was renamed, and another one after; one machine knows a renamed image
    /// again.
    pub fn leave_out_renamed(records: &mut Vec<Record>, root: Option<&Path>) -> usize {
        let Some(root) = root else { return 0 };
        let locator = Locator::new(root);
        let mut same: HashMap<(&str, Option<&str>), Vec<usize>> = HashMap::new();
        for (place, record) in records.iter().enumerate() {
            if let Some(sha256) = &record.sha256 {
                same.entry((sha256, record.question.as_deref())).or_default().push(place);
            }
        }
        let mut renamed = HashSet::new();
        for places in same.into_values().filter(|places| places.len() > 1) {
            let (there, gone): (Vec<_>, Vec<_>) =
                places.into_iter().partition(|place| locator.exists(&records[*place].image));
            // Copies are images of their own: each name that is there stands for one that is gone.
            renamed.extend(gone.into_iter().take(there.len()));
        }
        let mut place = 0..;
        records.retain(|_| place.next().is_none_or(|place| !renamed.contains(&place)));
        renamed.len()
    }

    /// The number of images that were not found.
    pub fn count(self) -> usize {
        let (Self::Some(count) | Self::OutOfReach(count)) = self;
        count
    }
}

/// Whether a record is an answer about an image that gemscope never read.
fn was_made_elsewhere(record: &Record) -> bool {
    record.sha256.is_none() && record.status != AnswerStatus::Failed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(image: &str, was_read: bool) -> Record {
        let sha256 = was_read.then(String::new);
        Record {
            sha256,
            status: AnswerStatus::Ok,
            ..Record::failed(image.to_owned(), String::new())
        }
    }

    fn left(
        dir: &Path,
        records: &[Record],
        listed: Option<&[&str]>,
        keep: bool,
    ) -> (Vec<String>, Missing) {
        let mut records = records.to_vec();
        let listed = listed.map(|listed| listed.iter().copied().collect());
        let missing = Missing::leave_out(&mut records, Some(dir), listed.as_ref(), keep);
        (records.into_iter().map(|record| record.image).collect(), missing)
    }

    #[test]
    fn images_that_are_gone_are_left_out_unless_all_are() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        for name in ["here.png", "sub/latin-\\xe9.png", "shard.tar"] {
            std::fs::write(dir.path().join(crate::source::path_of(name)), "").unwrap();
        }
        let records = [
            record("elsewhere.png", false),
            Record::failed("gone-and-failed.png".into(), String::new()),
            record("gone.png", true),
            record("here.png", true),
            record("here.png/gone.png", true),
            record("shard.tar/a.png", true),
            record("sub/gone/x.png", true),
            record("sub/latin-\\xe9.png", true),
        ];
        // A path behind a file that is no archive cannot be told from one behind an archive by its
        // name alone.
        let kept = [
            "elsewhere.png",
            "here.png",
            "here.png/gone.png",
            "shard.tar/a.png",
            "sub/latin-\\xe9.png",
        ];
        let (names, missing) = left(dir.path(), &records, None, false);
        assert_eq!((names.as_slice(), missing), (&kept.map(str::to_owned)[..], Missing::Some(3)));
        let (names, missing) = left(dir.path(), &records, None, true);
        assert_eq!((names.len(), missing), (8, Missing::Some(3)));
        // A listed image is there, whatever can be read of it.
        let (names, missing) = left(dir.path(), &records, Some(&["gone-and-failed.png"]), false);
        assert_eq!((names.len(), missing), (5, Missing::Some(3)));
        assert!(
            names.contains(&"gone-and-failed.png".to_owned())
                && !names.contains(&"elsewhere.png".to_owned())
        );
        // Nothing at all: the disk is not mounted.
        let gone = [record("gone.png", true), record("elsewhere.png", false)];
        let (names, missing) = left(dir.path(), &gone, None, false);
        assert_eq!((names.len(), missing), (2, Missing::OutOfReach(1)));
        let (names, missing) = left(dir.path(), &gone, Some(&[]), false);
        assert_eq!((names.len(), missing), (0, Missing::Some(2)));
    }

    #[test]
    fn an_image_that_was_renamed_between_machines_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["now.png", "copy.png", "other.png"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let of = |image: &str, sha256: &str| Record {
            sha256: Some(sha256.to_owned()),
            ..record(image, true)
        };
        let mut records = vec![
            of("copy.png", "2"),
            of("gone.png", "3"),
            of("now.png", "1"),
            of("original.png", "2"),
            of("other.png", "4"),
            of("then.png", "1"),
            of("then-too.png", "1"),
        ];
        records[3].question = Some("another".into());
        assert_eq!(Missing::leave_out_renamed(&mut records.clone(), None), 0);
        assert_eq!(Missing::leave_out_renamed(&mut records, Some(dir.path())), 1);
        let names: Vec<&str> = records.iter().map(|record| record.image.as_str()).collect();
        // One name that is there takes the place of one that is gone; what else is gone was
        // deleted.
        let left = ["copy.png", "gone.png", "now.png", "original.png", "other.png", "then-too.png"];
        assert_eq!(names, left);
    }

    #[test]
    fn without_a_folder_nothing_is_missing() {
        let mut records = vec![record("gone.png", true)];
        assert_eq!(Missing::leave_out(&mut records, None, None, false), Missing::Some(0));
        assert_eq!(records.len(), 1);
    }
}
