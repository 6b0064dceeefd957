//! Inputs, outputs and weights that a graph's file names, without ONNX Runtime.
//!
//! In: an ONNX file. Out: its inputs and outputs with their shapes, the names of its weights, and
//! how its 8-bit products are computed. Promises: no weight is read, so that a file of any size
//! takes milliseconds.

use std::io::{self, BufReader};
use std::path::Path;

use super::error::GraphError;
use super::wire::{self, Field, Reader};
use crate::files;

/// The head of a graph's file.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    /// The names of the weights.
    pub(super) initializers: Vec<String>,
    /// Products with weights of 4 or 8 bits (`MatMulNBits`).
    pub(super) packed_products: usize,
    /// Those with 8-bit weights that lack `accuracy_level` 4.
    pub(super) slow_products: usize,
}

/// An input or output.
#[derive(Debug, Default)]
pub(super) struct Port {
    pub(super) name: String,
    /// The sizes of its axes; `None` for one that differs from run to run.
    pub(super) shape: Vec<Option<u64>>,
}

impl Port {
    /// The size of the last axis, if it is fixed.
    pub(super) fn width(&self) -> Option<u64> {
        self.shape.last().copied().flatten()
    }
}

impl Header {
    /// Reads that of `graph`.
    ///
    /// # Errors
    /// [`GraphError`] if the file cannot be read, or is no ONNX.
    pub(super) fn read(graph: &Path) -> Result<Self, GraphError> {
        let contract = |reason: String| GraphError::Contract { path: graph.to_owned(), reason };
        let file =
            files::open(graph).map_err(|error| contract(format!("cannot be read: {error}")))?;
        let length =
            file.metadata().map_err(|error| contract(format!("cannot be read: {error}")))?.len();
        let mut header = Self::default();
        // onnx.proto3: ModelProto.graph is field 7.
        let read =
            wire::each_field(&mut BufReader::new(file), length, &mut |reader, number, field| {
                bytes(reader, field, |reader, size| match number {
                    7 => header.graph(reader, size),
                    _ => wire::skip(reader, size),
                })
            });
        read.map_err(|error| contract(format!("not an ONNX file, or not all of it: {error}")))?;
        Ok(header)
    }

    pub(super) fn input(&self, name: &str) -> Option<&Port> {
        self.inputs.iter().find(|port| port.name == name)
    }

    pub(super) fn output(&self, name: &str) -> Option<&Port> {
        self.outputs.iter().find(|port| port.name == name)
    }

    /// `GraphProto`: node 1, initializer 5, input 11, output 12.
    fn graph<R: Reader>(&mut self, reader: &mut R, size: u64) -> io::Result<()> {
        wire::each_field(reader, size, &mut |reader, number, field| {
            bytes(reader, field, |reader, size| {
                match number {
                    1 => {
                        if let Some(is_slow) = packed_product(reader, size)? {
                            self.packed_products += 1;
                            self.slow_products += usize::from(is_slow);
                        }
                    }
                    5 => self.initializers.extend(name_in(reader, size, 8)?),
                    11 => self.inputs.push(port(reader, size)?),
                    12 => self.outputs.push(port(reader, size)?),
                    _ => wire::skip(reader, size)?,
                }
                Ok(())
            })
        })
    }
}

/// Takes a field of bytes by `take`; numbers are passed over.
fn bytes<R: Reader>(
    reader: &mut R,
    field: Field,
    take: impl FnOnce(&mut R, u64) -> io::Result<()>,
) -> io::Result<()> {
    match field {
        Field::Number(_) => Ok(()),
        Field::Bytes(size) => take(reader, size),
    }
}

/// The text in one field of a message.
fn name_in<R: Reader>(reader: &mut R, size: u64, wanted: u64) -> io::Result<Option<String>> {
    let mut name = None;
    wire::each_field(reader, size, &mut |reader, number, field| {
        bytes(reader, field, |reader, size| {
            if number != wanted {
                return wire::skip(reader, size);
            }
            name = Some(wire::text(reader, size)?);
            Ok(())
        })
    })?;
    Ok(name)
}

/// `ValueInfoProto`: name 1, type 2 (tensor type 1, shape 2, dimension 1, its value 1).
fn port<R: Reader>(reader: &mut R, size: u64) -> io::Result<Port> {
    let mut port = Port::default();
    wire::each_field(reader, size, &mut |reader, number, field| {
        bytes(reader, field, |reader, size| {
            match number {
                1 => port.name = wire::text(reader, size)?,
                2 => inside(reader, size, &[1, 2, 1], &mut |reader, size| {
                    let mut value = None;
                    wire::each_field(reader, size, &mut |reader, number, field| match (
                        number, field,
                    ) {
                        (1, Field::Number(size)) => {
                            value = Some(size);
                            Ok(())
                        }
                        (_, field) => bytes(reader, field, wire::skip),
                    })?;
                    port.shape.push(value);
                    Ok(())
                })?,
                _ => wire::skip(reader, size)?,
            }
            Ok(())
        })
    })?;
    Ok(port)
}

/// Takes each message that `path` leads to, a field number a level.
fn inside<R: Reader>(
    reader: &mut R,
    size: u64,
    path: &[u64],
    take: &mut dyn FnMut(&mut R, u64) -> io::Result<()>,
) -> io::Result<()> {
    let Some((first, rest)) = path.split_first() else { return take(reader, size) };
    wire::each_field(reader, size, &mut |reader, number, field| {
        bytes(reader, field, |reader, size| {
            if number == *first {
                inside(reader, size, rest, take)
            } else {
                wire::skip(reader, size)
            }
        })
    })
}

/// Whether a `NodeProto` (operator 4, attribute 5: name 1, integer 3) that is a product with packed
/// weights is slow; `None` for another node.
fn packed_product<R: Reader>(reader: &mut R, size: u64) -> io::Result<Option<bool>> {
    let (mut operator, mut bits, mut level) = (String::new(), 4, 0);
    wire::each_field(reader, size, &mut |reader, number, field| {
        bytes(reader, field, |reader, size| match number {
            4 => {
                operator = wire::text(reader, size)?;
                Ok(())
            }
            5 => {
                let (mut name, mut value) = (String::new(), 0);
                wire::each_field(
                    reader,
                    size,
                    &mut |reader, number, field| match (number, field) {
                        (1, Field::Bytes(size)) => {
                            name = wire::text(reader, size)?;
                            Ok(())
                        }
                        (3, Field::Number(number)) => {
                            value = number;
                            Ok(())
                        }
                        (_, field) => bytes(reader, field, wire::skip),
                    },
                )?;
                match name.as_str() {
                    "bits" => bits = value,
                    "accuracy_level" => level = value,
                    _ => {}
                }
                Ok(())
            }
            _ => wire::skip(reader, size),
        })
    })?;
    Ok((operator == "MatMulNBits").then_some(bits == 8 && level != 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Header {
        Header::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)).unwrap()
    }

    #[test]
    fn ports_and_weights_are_read_from_files_of_every_exporter() {
        let vision = fixture("demo-model-mobius/vision_encoder/model.onnx");
        assert_eq!(vision.input("pixel_values").and_then(Port::width), Some(768));
        assert!(vision.initializers.len() > 10, "{:?}", vision.initializers);
        let decoder = fixture("variants/31B/onnx/decoder_model_merged.onnx");
        assert!(
            decoder.input("input_ids").is_some() && decoder.input("per_layer_inputs").is_none()
        );
        assert!(decoder.output("logits").and_then(Port::width).is_some());
        let cells = fixture("variants/12B/onnx/vision_encoder.onnx");
        assert_eq!(cells.input("pixel_values").and_then(Port::width), Some(6912));
    }

    #[test]
    fn products_of_8_bits_are_told_by_their_attributes() {
        let field = |number: u8, content: &[u8]| {
            [&[number << 3 | 2, content.len() as u8], content].concat()
        };
        let attribute = |name: &str, value: u8| {
            field(5, &[field(1, name.as_bytes()), vec![3 << 3, value]].concat())
        };
        let slow = |operator: &str, attributes: &[(&str, u8)]| {
            let attributes = attributes
                .iter()
                .map(|(name, value)| attribute(name, *value))
                .collect::<Vec<_>>()
                .concat();
            let node = [field(4, operator.as_bytes()), attributes].concat();
            packed_product(&mut io::Cursor::new(&node), node.len() as u64).unwrap()
        };
        assert_eq!(slow("MatMulNBits", &[("bits", 8), ("block_size", 32)]), Some(true));
        assert_eq!(slow("MatMulNBits", &[("accuracy_level", 1), ("bits", 8)]), Some(true));
        assert_eq!(slow("MatMulNBits", &[("accuracy_level", 4), ("bits", 8)]), Some(false));
        assert_eq!(slow("MatMulNBits", &[("bits", 4)]), Some(false));
        assert_eq!(slow("MatMul", &[("bits", 8)]), None);
    }
}
