//! Prints what each file of a folder says about how it was made: a JSON line a file.
//!
//!     cargo run --example frame_settings -- frames/

use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use gemscope::frame_metadata::{SIDECAR_EXTENSIONS, read, read_sidecar};
use gemscope::record::GenerationSettings;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("which folder?")?);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.sort();
    let mut out = std::io::stdout().lock();
    for file in files.iter().filter(|file| is_picture(file)) {
        // A file beside the frame is asked if the frame itself says nothing.
        let beside = || {
            let texts = SIDECAR_EXTENSIONS
                .iter()
                .map(|ending| std::fs::read_to_string(file.with_extension(ending)));
            texts.flatten().find_map(|text| read_sidecar(&text))
        };
        let settings =
            read(&std::fs::read(file)?).filter(GenerationSettings::is_known).or_else(beside);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        writeln!(out, "{}", serde_json::json!({ "file": name, "settings": settings }))?;
    }
    Ok(())
}

fn is_picture(file: &Path) -> bool {
    let ending = file.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    ["png", "jpg", "jpeg", "webp", "avif"].contains(&ending.as_str())
}
