//! The files that hold the weights, as a graph's file names them.
//!
//! In: an ONNX file. Out: the names of its external data files, and how many bytes each must have.
//! Promises: ONNX Runtime is asked to open no file outside of the model directory, because every
//! name is looked at before; of a file of any size only what holds those names is read.
//!
//! An ONNX file is a protobuf message (onnx.proto3 of onnx 1.19). Of it, only the messages on the
//! way to `TensorProto.external_data` are walked; everything else, the weights above all, is
//! skipped.

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::path::{Component, Path};

use super::error::GraphError;
use super::wire::{self, Field, Reader};
use crate::files;

/// The names of the external data files of `graph`, relative to its folder, with the bytes that its
/// tensors reach to in each.
///
/// # Errors
/// [`GraphError`] if the file cannot be read or is no ONNX, or a name leads out of the folder.
pub(super) fn data_files(graph: &Path) -> Result<BTreeMap<String, u64>, GraphError> {
    let contract = |reason: String| GraphError::Contract { path: graph.to_owned(), reason };
    let file = files::open(graph).map_err(|error| contract(format!("cannot be read: {error}")))?;
    let length =
        file.metadata().map_err(|error| contract(format!("cannot be read: {error}")))?.len();
    let mut found = Found::default();
    walk(&mut BufReader::new(file), length, Message::Model, 0, &mut found)
        .map_err(|error| contract(format!("not an ONNX file, or not all of it: {error}")))?;
    for name in found.files.keys() {
        let inside = !name.is_empty()
            && Path::new(name)
                .components()
                .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
            && !name.contains(['\\', ':']);
        if !inside {
            return Err(contract(format!(
                "its weights are said to lie in {name:?}, outside of the model's folder: not opened"
            )));
        }
    }
    Ok(found.files)
}

/// Checks that all external data of `graph` is there. ONNX Runtime would wait for a pipe, and does
/// not say how many bytes of a file are missing.
///
/// # Errors
/// As [`data_files`], and [`GraphError`] that names the file, its bytes and those that are needed.
pub(super) fn check(graph: &Path) -> Result<(), GraphError> {
    let contract = |reason: String| GraphError::Contract { path: graph.to_owned(), reason };
    shortage_of(graph, &data_files(graph)?).map_or(Ok(()), |reason| Err(contract(reason)))
}

/// The external data that a graph lacks; none for a file that is no graph.
pub(super) fn shortage(graph: &Path) -> Option<String> {
    shortage_of(graph, &data_files(graph).ok()?)
}

fn shortage_of(graph: &Path, data: &BTreeMap<String, u64>) -> Option<String> {
    data.iter().find_map(|(name, needed)| {
        let length = files::open(&graph.with_file_name(name)).and_then(|file| file.metadata());
        match length.map(|metadata| metadata.len()) {
            Ok(there) if there >= *needed => None,
            Ok(there) => Some(format!(
                "its weights lie in {name:?}, which has {there} bytes, and {needed} are needed: \
                 it was not fetched to its end"
            )),
            Err(error) => Some(format!(
                "its weights lie in {name:?} beside it, which cannot be read: {error} ({needed} \
                 bytes are needed)"
            )),
        }
    })
}

/// The result of a walk.
#[derive(Default)]
struct Found {
    /// File by file, the end of the last tensor in it.
    files: BTreeMap<String, u64>,
    /// Entries of the current tensor: location, offset and length.
    location: Option<String>,
    offset: u64,
    length: u64,
}

impl Found {
    fn entry(&mut self, key: &str, value: &str) {
        match key {
            "location" => self.location = Some(value.to_owned()),
            "offset" => self.offset = value.parse().unwrap_or(0),
            "length" => self.length = value.parse().unwrap_or(0),
            _ => {}
        }
    }

    fn tensor_ends(&mut self) {
        let end = std::mem::take(&mut self.offset).saturating_add(std::mem::take(&mut self.length));
        if let Some(location) = self.location.take() {
            let needed = self.files.entry(location).or_default();
            *needed = end.max(*needed);
        }
    }
}

/// The messages on the way to the names.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    SparseTensor,
    Tensor,
    Function,
    TrainingInfo,
    /// A pair of key and value.
    Entry,
}

impl Message {
    /// The message in a field; `None` if it cannot contain a name.
    fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) | (Self::TrainingInfo, 1 | 2) => {
                Self::Graph
            }
            (Self::Model, 20) => Self::TrainingInfo,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => {
                Self::Tensor
            }
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::SparseTensor,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            (Self::Tensor, 13) => Self::Entry,
            _ => return None,
        })
    }
}

/// Graphs inside graphs, as protobuf's own readers limit them.
const DEEPEST: usize = 100;

/// Walks a message of `length` bytes.
fn walk<R: Reader>(
    reader: &mut R,
    length: u64,
    message: Message,
    depth: usize,
    found: &mut Found,
) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other("messages in messages without end"));
    }
    let (mut key_of_entry, mut value) = (String::new(), String::new());
    wire::each_field(reader, length, &mut |reader, number, field| {
        let Field::Bytes(size) = field else { return Ok(()) };
        match (message, number, message.field(number)) {
            (Message::Entry, 1, _) => key_of_entry = wire::text(reader, size)?,
            (Message::Entry, 2, _) => value = wire::text(reader, size)?,
            (_, _, Some(inner)) => walk(reader, size, inner, depth + 1, found)?,
            _ => wire::skip(reader, size)?,
        }
        Ok(())
    })?;
    match message {
        Message::Entry => found.entry(&key_of_entry, &value),
        Message::Tensor => found.tensor_ends(),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length-delimited field.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2];
        let mut length = content.len();
        while length > 127 {
            field.push(length as u8 | 0x80);
            length >>= 7;
        }
        field.push(length as u8);
        [field.as_slice(), content].concat()
    }

    fn tensor(location: &str) -> Vec<u8> {
        let entry = |key: &str, value: &str| {
            field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat())
        };
        [
            field(8, b"weight"),
            entry("location", location),
            entry("offset", "4096"),
            entry("length", "8"),
        ]
        .concat()
    }

    fn names(model: &[u8]) -> Result<BTreeMap<String, u64>, GraphError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), model).unwrap();
        data_files(file.path())
    }

    #[test]
    fn names_are_found_wherever_a_tensor_can_be() {
        let graph = field(5, &tensor("weights.bin"));
        let attribute = [field(1, b"value"), field(5, &tensor("constant.bin"))].concat();
        let inner = field(1, &field(5, &field(6, &field(5, &tensor("branch/inner.bin")))));
        let large = field(5, &[field(9, &vec![7; 100_000]), tensor("weights.bin")].concat());
        let model = field(7, &[graph, field(1, &field(5, &attribute)), inner, large].concat());
        let found = names(&model).unwrap();
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            ["branch/inner.bin", "constant.bin", "weights.bin"]
        );
        assert!(found.values().all(|needed| *needed == 4096 + 8), "{found:?}");
    }

    #[test]
    fn what_leads_out_of_the_folder_is_refused() {
        for outside in ["../../etc/passwd", "/etc/passwd", "a/../../b", "C:\\x", "..\\x", ""] {
            let error = names(&field(7, &field(5, &tensor(outside)))).unwrap_err().to_string();
            assert!(error.contains("outside of the model's folder"), "{outside}: {error}");
        }
    }

    #[test]
    fn what_is_no_onnx_says_so() {
        let mut deep = tensor("x");
        for _ in 0..150 {
            deep = field(1, &field(5, &field(6, &deep)));
        }
        for broken in
            [&field(7, &deep)[..], b"no onnx", &[0x3A, 0xFF, 0xFF, 0xFF, 0x7F, 1], &[0x3A, 0x80]]
        {
            assert!(
                names(broken).unwrap_err().to_string().contains("not an ONNX file"),
                "{broken:?}"
            );
        }
        assert!(names(b"").unwrap().is_empty(), "ONNX Runtime has its own words for an empty file");
    }
}
