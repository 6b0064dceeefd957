//! The models that are in the cache of the Hub.
//!
//! In: the cache. Out: each model with its precisions, bytes and last use. Promises: nothing is
//! asked of a network or of ONNX Runtime; a precision is listed only if its graphs and all of their
//! external data are there.

use std::path::Path;
use std::time::UNIX_EPOCH;

use walkdir::WalkDir;

use crate::hub::{CachedSnapshot, cached_snapshots};
use crate::model::{Dtypes, GraphFiles, Published};

/// A model in the cache of the Hub.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CachedModel {
    /// Its folder and its names.
    pub snapshot: CachedSnapshot,
    /// The precisions whose graphs are whole; `as exported` if its layout has no choice of one.
    pub dtypes: Vec<String>,
    /// The fault for which none of its precisions can be run.
    pub problem: Option<String>,
    /// Bytes of its files.
    pub bytes: u64,
    /// When one of its files was last read or written, in seconds since 1970, as far as the disk
    /// says.
    pub last_used: Option<u64>,
}

/// The models with graphs in `cache`, and how many other snapshots are there.
pub fn models_in(cache: &Path) -> (Vec<CachedModel>, usize) {
    let snapshots = cached_snapshots(cache);
    let count = snapshots.len();
    let models: Vec<_> = snapshots.into_iter().filter_map(CachedModel::of).collect();
    let others = count - models.len();
    (models, others)
}

impl CachedModel {
    /// Nothing if the snapshot has no graph of a model that is known here.
    fn of(snapshot: CachedSnapshot) -> Option<Self> {
        let directory = &snapshot.directory;
        let (mut files, mut last_used) = (Vec::new(), None);
        for entry in WalkDir::new(directory).follow_links(true).max_depth(4).into_iter().flatten() {
            let Some(metadata) = entry.metadata().ok().filter(std::fs::Metadata::is_file) else {
                continue;
            };
            let path = entry.path().strip_prefix(directory).unwrap_or(entry.path());
            files.push((path.to_string_lossy().replace('\\', "/"), metadata.len()));
            let times = [metadata.accessed(), metadata.modified()].into_iter().flatten();
            let seconds = times
                .filter_map(|time| time.duration_since(UNIX_EPOCH).ok())
                .map(|since| since.as_secs());
            last_used = seconds.chain(last_used).max();
        }
        let files: Vec<_> = files.iter().map(|(path, size)| (path.as_str(), *size)).collect();
        let bytes = files.iter().map(|(_, size)| size).sum();
        let published = Published::new(snapshot.repository.as_str(), files);
        let whole = |dtypes: &Dtypes| -> Result<(), String> {
            let graphs = GraphFiles::find(directory, dtypes).map_err(|error| error.to_string())?;
            graphs.check_data().map_err(|error| error.to_string())
        };
        let precisions = published.precisions();
        let (mut dtypes, mut problem) = (Vec::new(), None);
        if published.genai_config().is_some() {
            match whole(&Dtypes::default()) {
                Ok(()) => dtypes.push("as exported".to_owned()),
                Err(error) => problem = Some(error),
            }
        } else if published.has_graphs() {
            for precision in &precisions {
                match precision
                    .dtype
                    .parse()
                    .map_err(|error: crate::model::LayoutError| error.to_string())
                {
                    Ok(named) if whole(&named).is_ok() => dtypes.push(precision.dtype.clone()),
                    Ok(named) => problem = whole(&named).err().or(problem),
                    Err(error) => problem = Some(error),
                }
            }
            if precisions.is_empty() {
                problem = whole(&Dtypes::default()).err();
            }
        } else {
            return None;
        }
        let problem = problem.filter(|_| dtypes.is_empty());
        Some(Self { snapshot, dtypes, problem, bytes, last_used })
    }
}
