//! A random model of middle size: graphs that are part of the binary, and weights that are drawn on
//! the user's machine.
//!
//! In: a cache directory. Out: a model directory, 370 MB, the same to the last bit on every
//! machine. Promises: a file is whole or not there. Its answers are noise; it is there to be
//! computed on two devices and compared. `python -m gemscope.onnx_export structure` makes the graphs
//! and the table of weights.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use half::f16;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Deserialize;

use super::{ModelError, demo};
use crate::{digest, files};

macro_rules! bundled {
    ($name:literal) => {
        include_bytes!(concat!("../../fixtures/random-model/", $name))
    };
}

const WEIGHTS: &[u8] = bundled!("weights.json");
const CONFIG: &[u8] = bundled!("config.json");
const GRAPHS: [(&str, &[u8]); 3] = [
    ("vision_encoder_fp16.onnx", bundled!("vision_encoder_fp16.onnx.gz")),
    ("embed_tokens_fp16.onnx", bundled!("embed_tokens_fp16.onnx.gz")),
    ("decoder_model_merged_fp16.onnx", bundled!("decoder_model_merged_fp16.onnx.gz")),
];
/// Ids of the demo model, whose tokens are a small part of the vocabulary.
const BORROWED: [&str; 4] =
    ["generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"];

/// Its size on disk.
pub const BYTES: u64 = 370_000_000;

/// Values that are drawn from one stream.
const PIECE: usize = 1 << 18;

#[derive(Debug, Deserialize)]
struct Weight {
    name: String,
    offset: usize,
    count: usize,
    dtype: Dtype,
    mean: f64,
    std: f64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Dtype {
    F16,
    F32,
}

impl Weight {
    fn bytes(&self) -> usize {
        self.count * self.width()
    }

    fn width(&self) -> usize {
        match self.dtype {
            Dtype::F16 => 2,
            Dtype::F32 => 4,
        }
    }

    /// Draws the values into `out`. A sum of four bytes is near enough to a normal number, and
    /// nothing in it rounds differently elsewhere.
    fn draw(&self, out: &mut [u8]) {
        const MEAN: f64 = 510.0;
        let deviation = (4.0 * (f64::from(1 << 16) - 1.0) / 12.0).sqrt();
        let values: Vec<f32> = (0..=1020)
            .map(|sum| (self.mean + self.std * (f64::from(sum) - MEAN) / deviation) as f32)
            .collect();
        let halves: Vec<[u8; 2]> =
            values.iter().map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        out.par_chunks_mut(PIECE * self.width()).enumerate().for_each(|(piece, out)| {
            let mut random = ChaCha8Rng::seed_from_u64(digest::number(&self.name));
            random.set_stream(piece as u64);
            for out in out.chunks_exact_mut(self.width()) {
                let sum: usize = random
                    .random::<u32>()
                    .to_le_bytes()
                    .iter()
                    .map(|&byte| usize::from(byte))
                    .sum();
                match self.dtype {
                    Dtype::F16 => out.copy_from_slice(&halves[sum]),
                    Dtype::F32 => out.copy_from_slice(&values[sum].to_le_bytes()),
                }
            }
        });
    }
}

/// Makes the model in `cache`, unless it is there already, and gives its directory.
///
/// # Errors
/// [`ModelError::Unpack`] if the cache cannot be written.
pub fn unpack(cache: &Path) -> Result<PathBuf, ModelError> {
    let parts = GRAPHS.iter().map(|(_, bytes)| *bytes).chain([WEIGHTS, CONFIG]);
    let hashes: String = parts.map(digest::hex).collect();
    let directory = cache.join(format!("random-model-{:016x}", digest::number(hashes)));
    make(&directory).map_err(|error| ModelError::Unpack { path: directory.clone(), error })?;
    Ok(directory)
}

fn make(directory: &Path) -> io::Result<()> {
    let tables: BTreeMap<String, Vec<Weight>> = serde_json::from_slice(WEIGHTS)?;
    let onnx = directory.join("onnx");
    for (name, weights) in &tables {
        let length = weights.iter().map(|weight| weight.offset + weight.bytes()).max().unwrap_or(0);
        let path = onnx.join(name);
        if std::fs::symlink_metadata(&path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == length as u64)
        {
            continue;
        }
        let mut data = vec![0; length];
        for weight in weights {
            weight.draw(&mut data[weight.offset..][..weight.bytes()]);
        }
        files::replace(&path, &data)?;
    }
    for (name, packed) in GRAPHS {
        let mut graph = Vec::new();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut graph)?;
        files::replace_unless_there(&onnx.join(name), &graph)?;
    }
    for name in BORROWED {
        files::replace_unless_there(&directory.join(name), demo::file(name).unwrap_or_default())?;
    }
    files::replace_unless_there(&directory.join("config.json"), CONFIG)
}
