//! Which weights a model has, wherever it lies.

use std::collections::BTreeMap;
use std::path::Path;

use super::{GraphFiles, ModelConfig, ModelError};
use crate::digest;
use crate::record::ModelIdentity;

impl ModelIdentity {
    /// The identity of the model in `directory`.
    ///
    /// # Errors
    /// [`ModelError::Read`] if a file cannot be read.
    pub fn of(
        directory: &Path,
        graphs: &GraphFiles,
        config: &ModelConfig,
    ) -> Result<Self, ModelError> {
        let mut files = BTreeMap::new();
        for path in graphs.all_files().into_iter().chain([directory.join("tokenizer.json")]) {
            let name =
                path.strip_prefix(directory).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            let fingerprint =
                digest::fingerprint(&path).map_err(|error| ModelError::Read { path, error })?;
            files.insert(name, fingerprint);
        }
        Ok(Self {
            files,
            stop_ids: config.stop_ids.clone(),
            suppressed_ids: config.suppressed_ids.clone(),
            activations: None,
        })
    }
}
