//! Graphs whose products round their activations, or do not, whatever their file says.
//!
//! In: an ONNX file, and how products with 4- or 8-bit weights (`MatMulNBits`) are to take their
//! activations. Out: the session of its bytes with `accuracy_level` set so on each. Promises:
//! nothing else in it is changed; the weights beside it are not read here; a graph without such
//! products is opened from its file.
//!
//! ONNX Runtime has no setting for this: the attribute is read from the graph when a session is
//! made. Its meaning: 4 rounds activations to 8 bits and multiplies integers, 0 (also where it is
//! not there) leaves the kernel free to keep them as they are, which on CPUs it does.

use std::io;
use std::path::Path;

use ort::session::Session;
use ort::session::builder::SessionBuilder;

use super::error::GraphError;
use super::header::Header;
use crate::files;
use crate::record::Activations;

/// An ONNX file larger than this is none: protobuf ends there.
const MOST_BYTES: u64 = 2 << 30;

/// `ModelProto.graph`.
const GRAPH: u64 = 7;
/// `GraphProto.node`.
const NODE: u64 = 1;
/// `NodeProto.op_type`.
const OPERATOR: u64 = 4;
/// `NodeProto.attribute`.
const ATTRIBUTE: u64 = 5;
/// `AttributeProto.name`.
const NAME: u64 = 1;
/// A key of protobuf that says: bytes follow.
const BYTES: u64 = 2;

/// The operator, and its attribute.
const PRODUCT: &[u8] = b"MatMulNBits";
const LEVEL: &[u8] = b"accuracy_level";

/// Where ONNX Runtime takes a graph from.
pub(super) struct Source<'p> {
    /// Its file.
    pub(super) path: &'p Path,
    /// Its file's bytes with other products, and what was asked of them; `None` for the file as it
    /// is.
    pub(super) patched: Option<(Vec<u8>, Activations)>,
}

impl<'p> Source<'p> {
    /// # Errors
    /// As [`patched`].
    pub(super) fn of(path: &'p Path, activations: Option<Activations>) -> Result<Self, GraphError> {
        let Some(activations) = activations else { return Ok(Self { path, patched: None }) };
        // A graph without such products, as that of embeddings, may hold a table of a gigabyte.
        if Header::read(path)?.packed_products == 0 {
            return Ok(Self { path, patched: None });
        }
        Ok(Self { path, patched: Some((patched(path, activations)?, activations)) })
    }

    /// Its session.
    pub(super) fn commit(&self, builder: SessionBuilder) -> ort::Result<Session> {
        /// Where weights beside a graph lie that comes from memory.
        const FOLDER: &str = "session.model_external_initializers_file_folder_path";
        let Some((bytes, _)) = &self.patched else {
            let mut builder = builder;
            return builder.commit_from_file(self.path);
        };
        let folder = self.path.parent().unwrap_or(Path::new("")).to_string_lossy();
        builder.with_config_entry(FOLDER, folder)?.commit_from_memory(bytes)
    }
}

/// The file `graph` with products that take `activations`.
///
/// # Errors
/// [`GraphError`] if it cannot be read or is no ONNX.
fn patched(graph: &Path, activations: Activations) -> Result<Vec<u8>, GraphError> {
    let contract = |reason: String| GraphError::Contract { path: graph.to_owned(), reason };
    let file = files::read(graph, MOST_BYTES)
        .map_err(|error| contract(format!("cannot be read: {error}")))?;
    rewrite(&file, GRAPH, &mut |graph| {
        rewrite(graph, NODE, &mut |node| product(node, activations)).map(Some)
    })
    .map_err(|error| contract(format!("not an ONNX file, or not all of it: {error}")))
}

/// A `NodeProto` with another `accuracy_level`; `None` if it is no such product.
fn product(node: &[u8], activations: Activations) -> io::Result<Option<Vec<u8>>> {
    let mut operator: &[u8] = b"";
    each(node, &mut |key, content, _| {
        if key == (OPERATOR << 3 | BYTES) {
            operator = content;
        }
        Ok(())
    })?;
    if operator != PRODUCT {
        return Ok(None);
    }
    let mut changed = Vec::with_capacity(node.len() + 32);
    each(node, &mut |key, content, whole| {
        if key != (ATTRIBUTE << 3 | BYTES) || !is_named(content, LEVEL)? {
            changed.extend_from_slice(whole);
        }
        Ok(())
    })?;
    if activations == Activations::Int8 {
        // AttributeProto: name 1, i 3 (a number), type 20 (INT is 2).
        let mut attribute = Vec::new();
        put(&mut attribute, NAME, LEVEL);
        for (field, number) in [(3, 4), (20, 2)] {
            put_number(&mut attribute, field << 3);
            put_number(&mut attribute, number);
        }
        put(&mut changed, ATTRIBUTE, &attribute);
    }
    Ok(Some(changed))
}

fn is_named(attribute: &[u8], name: &[u8]) -> io::Result<bool> {
    let mut found = false;
    each(attribute, &mut |key, content, _| {
        found |= key == (NAME << 3 | BYTES) && content == name;
        Ok(())
    })?;
    Ok(found)
}

/// What gives a field another content, or `None` to leave it.
type Change<'c> = &'c mut dyn FnMut(&[u8]) -> io::Result<Option<Vec<u8>>>;

/// A message in which `change` gave the field `number` another content; `None` leaves it.
fn rewrite(message: &[u8], number: u64, change: Change<'_>) -> io::Result<Vec<u8>> {
    let mut changed = Vec::with_capacity(message.len() + 64);
    each(message, &mut |key, content, whole| {
        let other = if key == (number << 3 | BYTES) { change(content)? } else { None };
        match other {
            Some(other) => put(&mut changed, number, &other),
            None => changed.extend_from_slice(whole),
        }
        Ok(())
    })?;
    Ok(changed)
}

/// What takes a field: its key, its content (of a number none), and all of its bytes.
type Take<'t, 'm> = &'t mut dyn FnMut(u64, &'m [u8], &'m [u8]) -> io::Result<()>;

/// Gives each field of a message to `take`.
fn each<'m>(message: &'m [u8], take: Take<'_, 'm>) -> io::Result<()> {
    let mut left = message;
    while !left.is_empty() {
        let whole = left;
        let key = number(&mut left)?;
        let size = match key & 7 {
            0 => {
                number(&mut left)?;
                0
            }
            1 => 8,
            2 => number(&mut left)?,
            5 => 4,
            wire => return Err(io::Error::other(format!("a field of wire type {wire}"))),
        };
        let longer = || io::Error::other("a field is longer than its message");
        let size = usize::try_from(size).map_err(|_| longer())?;
        let (content, rest) = left.split_at_checked(size).ok_or_else(longer)?;
        left = rest;
        take(key, content, &whole[..whole.len() - left.len()])?;
    }
    Ok(())
}

fn number(bytes: &mut &[u8]) -> io::Result<u64> {
    let mut left = bytes.len() as u64;
    super::wire::varint(bytes, &mut left)
}

fn put(message: &mut Vec<u8>, field: u64, content: &[u8]) {
    put_number(message, field << 3 | BYTES);
    put_number(message, content.len() as u64);
    message.extend_from_slice(content);
}

fn put_number(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push((number as u8 & 0x7F) | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(operator: &str, attributes: &[(&str, u64)]) -> Vec<u8> {
        let mut node = Vec::new();
        put(&mut node, OPERATOR, operator.as_bytes());
        for (name, value) in attributes {
            let mut attribute = Vec::new();
            put(&mut attribute, NAME, name.as_bytes());
            put_number(&mut attribute, 3 << 3);
            put_number(&mut attribute, *value);
            put(&mut node, ATTRIBUTE, &attribute);
        }
        node
    }

    fn model(nodes: &[Vec<u8>]) -> Vec<u8> {
        let (mut graph, mut model) = (Vec::new(), Vec::new());
        for node in nodes {
            put(&mut graph, NODE, node);
        }
        put(&mut graph, 2, b"the graph's name");
        put_number(&mut model, 1 << 3);
        put_number(&mut model, 10);
        put(&mut model, GRAPH, &graph);
        model
    }

    #[test]
    fn only_the_level_of_such_products_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.onnx");
        let others = [node("MatMul", &[("accuracy_level", 1)]), node("Gather", &[("axis", 0)])];
        let graph = |first: &[(&str, u64)], second: &[(&str, u64)]| {
            let products = [node("MatMulNBits", first), node("MatMulNBits", second)];
            model(&[products.to_vec(), others.to_vec()].concat())
        };
        let mixed = graph(&[("bits", 8), ("accuracy_level", 4)], &[("bits", 4), ("K", 300)]);
        std::fs::write(&path, &mixed).unwrap();
        assert_eq!(Header::read(&path).unwrap().packed_products, 2);
        let float = patched(&path, Activations::Float).unwrap();
        assert_eq!(float, graph(&[("bits", 8)], &[("bits", 4), ("K", 300)]));
        let int8 = patched(&path, Activations::Int8).unwrap();
        std::fs::write(&path, &int8).unwrap();
        assert_eq!(patched(&path, Activations::Float).unwrap(), float);
        let text = String::from_utf8_lossy(&int8);
        assert_eq!(text.matches("accuracy_level").count(), 3, "{text}");
    }

    #[test]
    fn what_is_no_graph_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.onnx");
        std::fs::write(&path, b"version https://git-lfs.github.com/spec/v1").unwrap();
        let error = patched(&path, Activations::Int8).err().unwrap().to_string();
        assert!(error.contains("not an ONNX file"), "{error}");
    }
}
