//! Fetching a published model.
//!
//! In: a name of the Hub, and a precision. Out: the model's folder in the cache. Promises: only the
//! files of that precision are fetched, and none of audio; a folder that is given back has all that
//! its graphs name.

use std::path::{Path, PathBuf};

use super::SessionError;
use super::proposal::Machine;
use crate::device::DeviceChoice;
use crate::files;
use crate::hub::{
    CachedSnapshot, FetchObserver, Fetched, Hub, HubFile, HubOptions, Listing, ModelId,
    cached_snapshot,
};
use crate::model::{Dtypes, GraphFiles, LayoutError, Published};

/// A model that was fetched, or was there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Downloaded {
    /// The model.
    pub id: ModelId,
    /// The commit of its files.
    pub commit: String,
    /// The folder with them.
    pub directory: PathBuf,
    /// The precision that was chosen for this machine; `None` if it was named, or there is no
    /// choice.
    pub proposed: Option<String>,
    /// How many files the precision has.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them were fetched, whole or in part. None without a request to the Hub.
    pub fetched: usize,
}

/// Fetches the graphs of one precision and their settings into the cache, unless they are there.
/// Without `dtypes`, the precision that suits this machine: see [`Machine::propose`].
///
/// # Errors
/// [`SessionError`]. Fetched files stay, and the same call continues there.
pub fn download(
    options: &HubOptions,
    id: &ModelId,
    dtypes: Option<&Dtypes>,
    device: Option<DeviceChoice>,
    observer: &dyn FetchObserver,
) -> Result<Downloaded, SessionError> {
    let hub = Hub::new(options.clone())?;
    if let Err(forbidden) = hub.check_reach(id) {
        return there(options, id, dtypes).ok_or_else(|| forbidden.into());
    }
    let listing = hub.listing(id, observer)?;
    let download = Download { hub: &hub, listing: &listing, observer };
    let published = Published::new(
        id.repository.as_str(),
        listing.files.iter().map(|file| (file.path.as_str(), file.size)),
    );
    let mut proposed = None;
    let mut wanted = match (published.genai_config(), dtypes) {
        (Some(_), Some(_)) => return Err(LayoutError::OnePrecision(id.to_string().into()).into()),
        (Some(config), None) => {
            let (directory, _) = download.files(&[config])?;
            let text = files::read_text(&directory.join(config));
            let path = directory.join(config);
            let broken = |reason: String| LayoutError::GenaiConfig { path, reason };
            let config = text.map_err(|error| error.to_string());
            let config = config
                .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
            published.genai_files(&config.map_err(broken)?)?
        }
        (None, Some(dtypes)) => published.files(dtypes)?,
        (None, None) => {
            let precisions = published.precisions();
            let proposal = Machine::this(device).propose(&precisions);
            let dtype = match (&proposal, precisions.as_slice()) {
                (Some(proposal), _) => {
                    observer.say(&proposal.why);
                    proposal.dtype.clone()
                }
                (None, [only]) => only.dtype.clone(),
                // Names the files that are there instead of graphs.
                (None, []) => "fp32".to_owned(),
                (None, several) => {
                    let names: Vec<_> =
                        several.iter().map(|precision| precision.dtype.as_str()).collect();
                    return Err(SessionError::NoPrecision {
                        id: id.clone(),
                        published: names.join(", "),
                    });
                }
            };
            let dtypes: Dtypes = dtype.parse()?;
            proposed = Some(dtype);
            published.files(&dtypes)?
        }
    };
    let (directory, mut outcomes) = download.files(&wanted)?;
    // Graphs name their data themselves; data files with other names are only known now.
    let more = download.named_by_graphs(&directory, &wanted)?;
    if !more.is_empty() {
        outcomes.extend(download.files(&more)?.1);
        wanted.extend(more);
    }
    hub.keep_revision(&listing)?;
    let bytes = wanted.iter().filter_map(|path| download.file(path)).map(|file| file.size).sum();
    let fetched = outcomes.iter().filter(|outcome| **outcome != Fetched::AlreadyThere).count();
    let commit = listing.commit.clone();
    Ok(Downloaded {
        id: id.clone(),
        commit,
        directory,
        proposed,
        files: wanted.len(),
        bytes,
        fetched,
    })
}

struct Download<'d> {
    hub: &'d Hub,
    listing: &'d Listing,
    observer: &'d dyn FetchObserver,
}

impl<'d> Download<'d> {
    fn file(&self, path: &str) -> Option<&'d HubFile> {
        self.listing.files.iter().find(|file| file.path == path)
    }

    fn files(&self, paths: &[&str]) -> Result<(PathBuf, Vec<Fetched>), SessionError> {
        let files: Vec<_> = paths.iter().filter_map(|path| self.file(path)).collect();
        Ok(self.hub.fetch(self.listing, &files, self.observer)?)
    }

    /// The files that graphs among `paths` say they need, and that are not among them.
    fn named_by_graphs(
        &self,
        directory: &Path,
        paths: &[&'d str],
    ) -> Result<Vec<&'d str>, SessionError> {
        let mut more = Vec::new();
        let is_graph =
            |path: &&&str| Path::new(path).extension().is_some_and(|extension| extension == "onnx");
        for graph in paths.iter().filter(is_graph) {
            let folder =
                graph.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            for name in GraphFiles::data_names(&directory.join(graph))? {
                let path = format!("{folder}{name}");
                let Some(file) = self.file(&path) else {
                    let (id, graph) = (self.listing.id.clone(), (*graph).to_owned());
                    return Err(SessionError::NotPublished { id, graph, file: path });
                };
                if !paths.contains(&file.path.as_str()) && !more.contains(&file.path.as_str()) {
                    more.push(file.path.as_str());
                }
            }
        }
        Ok(more)
    }
}

/// The model as it is in the cache, if it is whole there.
fn there(options: &HubOptions, id: &ModelId, dtypes: Option<&Dtypes>) -> Option<Downloaded> {
    let snapshot = cached_snapshot(&options.cache, id).ok()?;
    let graphs =
        GraphFiles::find(&snapshot.directory, &dtypes.cloned().unwrap_or_default()).ok()?;
    graphs.check_data().ok()?;
    let files = graphs.all_files();
    let CachedSnapshot { commit, directory, .. } = snapshot;
    Some(Downloaded {
        id: id.clone(),
        commit,
        directory,
        proposed: None,
        files: files.len(),
        bytes: bytes_of(&files),
        fetched: 0,
    })
}

fn bytes_of(files: &[PathBuf]) -> u64 {
    files.iter().filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}
