//! From what a user names to the directory of a model.
//!
//! In: a path, as it was typed. Out: the directory with tokenizer and settings. Promises: the
//! folder `onnx` of a model, a folder that holds one model, and a folder of the Hub's cache lead to
//! the model; what is no model is called what it is, with the way on.

use std::path::{Path, PathBuf};

use super::folder::{DECODER, EMBEDDING, VISION, names, onnx_names};
use super::foreign::Foreign;
use super::layout_error::LayoutError;
use super::whole::{FileProblem, problem};
use crate::files;
use crate::hub::{ModelId, PREFIX, folder_snapshot};

/// The directory of the model that `named` leads to.
///
/// # Errors
/// [`LayoutError`] that says what is there instead.
pub fn locate(named: &Path) -> Result<PathBuf, LayoutError> {
    if !named.exists() {
        return Err(no_path(named));
    }
    if !named.is_dir() {
        return Err(of_file(named));
    }
    if let Some(model) = model_at(named) {
        return Ok(model);
    }
    // A cache, or the folder above it.
    let hub = named.join("hub");
    let above =
        if names(&hub).iter().any(|name| name.starts_with("models--")) { &hub } else { named };
    let inside =
        names(above).into_iter().filter(|name| !name.starts_with('.')).map(|name| above.join(name));
    let mut models: Vec<_> =
        inside.filter(|path| path.is_dir()).filter_map(|path| model_at(&path)).collect();
    models.dedup();
    match models.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(LayoutError::no_graphs(named)),
        several => {
            let models = several.iter().map(|path| path.display().to_string()).collect();
            Err(LayoutError::Several { directory: named.to_owned(), models })
        }
    }
}

/// The directory that a path leads to without a look into its folders.
fn model_at(directory: &Path) -> Option<PathBuf> {
    // The folder of a model in the cache of the Hub, or its folder `snapshots`.
    let of_cache =
        [Some(directory), directory.parent()].into_iter().flatten().find_map(folder_snapshot);
    let is_snapshots = directory.file_name().is_some_and(|name| name == "snapshots");
    if let Some(snapshot) =
        of_cache.filter(|_| is_snapshots || directory.join("snapshots").is_dir())
    {
        return Some(snapshot);
    }
    if directory.join("genai_config.json").is_file() || has_graphs(&directory.join("onnx")) {
        return Some(directory.to_owned());
    }
    if !has_graphs(directory) {
        return None;
    }
    // The graphs' own folder: tokenizer and settings stand above it.
    let resolved = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let above = resolved.parent().filter(|above| {
        !directory.join("tokenizer.json").exists() && above.join("tokenizer.json").exists()
    });
    let as_named = directory
        .parent()
        .filter(|above| !above.as_os_str().is_empty() && above.join("tokenizer.json").exists());
    Some(above.map_or_else(|| directory.to_owned(), |above| as_named.unwrap_or(above).to_owned()))
}

fn has_graphs(folder: &Path) -> bool {
    onnx_names(folder)
        .iter()
        .any(|name| [VISION, EMBEDDING, DECODER].iter().any(|stem| name.starts_with(stem)))
}

/// The error for a name that leads to nothing: a URL, a name of Ollama's, or a wrong path.
fn no_path(named: &Path) -> LayoutError {
    let text = named.to_string_lossy().into_owned();
    if let Some(Err(error)) = text.strip_prefix(PREFIX).map(str::parse::<ModelId>) {
        return LayoutError::HubName(error);
    }
    if text.starts_with("http://") || text.starts_with("https://") || text.starts_with("hf.co/") {
        let page = ["https://huggingface.co/", "https://hf.co/", "hf.co/"]
            .iter()
            .find_map(|hub| text.strip_prefix(hub));
        let parts = page.map(|page| page.split(['/', ':']).take(2).collect::<Vec<_>>().join("/"));
        return match parts.and_then(|name| name.parse::<ModelId>().ok()) {
            Some(id) => LayoutError::HubPage { url: text, id },
            None => LayoutError::Url(text),
        };
    }
    let plain = |part: &str| {
        part.len() > 1
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte))
    };
    match text.split_once(':') {
        Some((name, tag))
            if plain(name) && !tag.is_empty() && plain(&format!("{tag} ").replace(' ', "-")) =>
        {
            LayoutError::OllamaTag(text)
        }
        _ => LayoutError::NoDirectory(named.to_owned()),
    }
}

/// The error for a file that was named in place of a directory.
fn of_file(path: &Path) -> LayoutError {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut magic = [0; 4];
    let read =
        files::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
    let foreign = if read.is_ok() && &magic == b"GGUF" { Some(Foreign::Gguf) } else { None };
    let is_graph = path.extension().is_some_and(|extension| extension == "onnx");
    match foreign.or_else(|| Foreign::of(&[&name], None)) {
        Some(foreign) if !is_graph => LayoutError::Foreign { path: path.to_owned(), foreign },
        _ => LayoutError::File(path.to_owned()),
    }
}

/// Checks that the settings, tokenizer and template of `directory`, as far as they are there, are
/// files of that kind.
///
/// # Errors
/// [`LayoutError::NotWhole`] that names the file.
pub fn check_settings(directory: &Path) -> Result<(), LayoutError> {
    for name in [
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "processor_config.json",
    ] {
        let path = directory.join(name);
        match problem(&path).filter(|problem| !matches!(problem, FileProblem::Unreadable(_))) {
            // A template may be a page's, as far as its first bytes say.
            Some(FileProblem::Page) if name.ends_with("jinja") => {}
            Some(problem) => return Err(LayoutError::NotWhole { path, problem }),
            None => {}
        }
    }
    Ok(())
}
