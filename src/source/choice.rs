//! Which of the images that inputs hold a run is about.
//!
//! In: patterns of what to leave out, a depth, a number. Out: whether a path is left out; the
//! images that are chosen. Promises: the same choice on every machine; a sample holds every smaller
//! sample of the same seed, so that a run over more images goes on with what it has.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::remote::WebOptions;
use super::video::VideoUse;
use super::{SourceError, SourceImage, tidy};
use crate::digest;

/// The choice. By default, all images are chosen.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Patterns of files and folders that are left out. One without `/` is that of a name at any
    /// depth, one with it that of a path from the folder that is searched, or from the current one;
    /// `**` is any depth.
    pub exclude: Vec<String>,
    /// How deep folders and archives are searched; 1 is the folder itself.
    pub max_depth: Option<usize>,
    /// Names of images that are left out, of a set that has them already.
    pub known: Known,
    /// How many images there may be, and which of more they are.
    pub most: Option<Most>,
    /// What videos are taken for; without it, they are passed over.
    pub video: Option<VideoUse>,
    /// How images on the web are read.
    pub web: WebOptions,
    /// Told what takes long while the images are listed.
    pub say: Option<fn(&str)>,
    /// Raised to stop: frames of videos are not listed any further, and these videos have that
    /// reason.
    pub stop: Option<Arc<AtomicBool>>,
}

/// Images that a set has already: by their whole names, else by the names of their files, if these
/// are unique in the set and among the inputs.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The names.
    pub names: HashSet<String>,
}

impl Known {
    /// Takes these images out of `images`, and gives their names.
    pub(super) fn of(&self, images: &mut Vec<SourceImage>) -> Vec<String> {
        let base = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        let count = |names: &mut dyn Iterator<Item = &str>| {
            let mut counts: HashMap<String, usize> = HashMap::new();
            names.for_each(|name| *counts.entry(base(name)).or_default() += 1);
            counts
        };
        if self.names.is_empty() {
            return Vec::new();
        }
        let here = count(&mut images.iter().map(|image| image.name.as_str()));
        // A name that is there as a whole is no other image's.
        let exact: HashSet<&str> = images.iter().map(|image| image.name.as_str()).collect();
        let mut others = self.names.iter().map(String::as_str).filter(|name| !exact.contains(name));
        let there = count(&mut others);
        let mut taken = Vec::new();
        let is_known = |name: &str| {
            let base = base(name);
            self.names.contains(name) || here.get(&base) == Some(&1) && there.get(&base) == Some(&1)
        };
        let known: Vec<bool> = images.iter().map(|image| is_known(&image.name)).collect();
        let mut known = known.into_iter();
        images.retain(|image| {
            let is_known = known.next() == Some(true);
            if is_known {
                taken.push(image.name.clone());
            }
            !is_known
        });
        taken
    }
}

/// A number of images of more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Most {
    /// The first ones by name.
    First(usize),
    /// Drawn by a hash of the seed and the image's name.
    Sample {
        /// How many.
        count: usize,
        /// Another seed is another sample.
        seed: u64,
    },
}

impl Most {
    /// Takes the images that are not chosen out of `images`, which stay sorted, and gives their
    /// names.
    pub(super) fn of(self, images: &mut Vec<SourceImage>) -> Vec<String> {
        let left_out = match self {
            Self::First(count) => images.split_off(count.min(images.len())),
            Self::Sample { count, seed } => {
                images.sort_by_cached_key(|image| digest::number(format!("{seed}/{}", image.name)));
                let mut left_out = images.split_off(count.min(images.len()));
                images.sort_by(|one, other| one.name.cmp(&other.name));
                left_out.sort_by(|one, other| one.name.cmp(&other.name));
                left_out
            }
        };
        left_out.into_iter().map(|image| image.name).collect()
    }
}

/// The patterns of [`Choice::exclude`].
pub(super) struct Excluded {
    /// Matches paths from the folder that is searched.
    relative: GlobSet,
    /// Matches absolute paths.
    absolute: GlobSet,
}

impl Excluded {
    /// # Errors
    /// [`SourceError::Pattern`] for an invalid one.
    pub(super) fn new(patterns: &[String]) -> Result<Self, SourceError> {
        let (mut relative, mut absolute) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in patterns {
            let error = |error| SourceError::Pattern { pattern: pattern.into(), error };
            let glob =
                |text: &str| GlobBuilder::new(text).literal_separator(true).build().map_err(error);
            let path = pattern.trim_start_matches("./").trim_end_matches('/');
            if path.trim_start_matches('/').contains('/') || path.starts_with('/') {
                relative.add(glob(path.trim_start_matches('/'))?);
                absolute.add(glob(&from_here(path))?);
            } else {
                relative.add(glob(&format!("**/{path}"))?);
            }
        }
        let build = |set: GlobSetBuilder| {
            set.build()
                .map_err(|error| SourceError::Pattern { pattern: patterns.join(" ").into(), error })
        };
        Ok(Self { relative: build(relative)?, absolute: build(absolute)? })
    }

    /// Whether a path is left out; `relative` is its part from the folder that is searched.
    pub(super) fn has(&self, path: &Path, relative: &Path) -> bool {
        self.relative.is_match(relative) || self.absolute.is_match(path)
    }
}

/// The pattern of the absolute path that a pattern is of from the current folder.
fn from_here(pattern: &str) -> String {
    if pattern.starts_with('/') {
        return pattern.to_owned();
    }
    let here = std::env::current_dir().map(|here| tidy(&here)).unwrap_or_default();
    format!("{}/{pattern}", globset::escape(&here.to_string_lossy().replace('\\', "/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(count: usize) -> Vec<SourceImage> {
        (0..count)
            .map(|at| SourceImage { name: format!("{at:04}.png"), place: Err(String::new()) })
            .collect()
    }

    fn names(images: &[SourceImage]) -> Vec<&str> {
        images.iter().map(|image| image.name.as_str()).collect()
    }

    #[test]
    fn a_larger_sample_holds_the_smaller_one() {
        let sample = |count, seed| {
            let mut all = images(1000);
            let left_out = Most::Sample { count, seed }.of(&mut all);
            assert_eq!(all.len() + left_out.len(), 1000);
            assert!(names(&all).is_sorted() && left_out.is_sorted());
            all
        };
        let (few, more, other) = (sample(50, 0), sample(200, 0), sample(50, 1));
        assert!(few.iter().all(|image| more.contains(image)) && few.len() == 50 && few != other);
        // Spread over all of them: no tenth has none, or most.
        let tenths = (0..10).map(|tenth| {
            few.iter().filter(|image| image.name.starts_with(&format!("0{tenth}"))).count()
        });
        assert!(tenths.into_iter().all(|count| (1..=15).contains(&count)));
        assert_eq!(sample(5000, 0).len(), 1000);
        let mut first = images(10);
        assert_eq!(Most::First(3).of(&mut first).len(), 7);
        assert_eq!(names(&first), ["0000.png", "0001.png", "0002.png"]);
    }

    #[test]
    fn patterns_are_of_names_or_of_paths() {
        let excluded = |pattern: &str, relative: &str| {
            Excluded::new(&[pattern.to_owned()])
                .unwrap()
                .has(&Path::new("/in").join(relative), Path::new(relative))
        };
        for (pattern, is, is_not) in [
            ("*_thumb.jpg", "a/b_thumb.jpg", "a/b.jpg"),
            ("thumbs", "a/thumbs", "a/thumbs2"),
            ("thumbs/", "a/thumbs", "a/thumb"),
            ("a/*.png", "a/x.png", "a/b/x.png"),
            ("a/**/x.png", "a/b/c/x.png", "b/x.png"),
            ("/x.png", "x.png", "a/x.png"),
            ("/in/b", "b", "a/b"),
            ("{a,b}.png", "c/b.png", "c/c.png"),
        ] {
            assert!(excluded(pattern, is), "{pattern} {is}");
            assert!(!excluded(pattern, is_not), "{pattern} {is_not}");
        }
        assert!(matches!(Excluded::new(&["[".to_owned()]), Err(SourceError::Pattern { .. })));
        let here = std::env::current_dir().unwrap();
        let excluded = Excluded::new(&["photos/bad".to_owned()]).unwrap();
        assert!(
            excluded.has(&here.join("photos/bad"), Path::new("bad")),
            "a path from the current folder"
        );
    }
}
