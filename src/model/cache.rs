//! The KV cache of several sequences that are decoded together.
//!
//! In: the decoder's outputs `present`. Out: its inputs `past`, `[rows, heads, columns, head size]`
//! a slot. Promises: the tokens of every row end in the last column and have no gaps, so everything
//! on a row's left is padding; only moved data are copied: removing a row copies one row, rewinding
//! copies that row, and only joining copies the whole cache. In a card's memory, where a copy of
//! everything takes less time than a step's launches, each of these is one kernel a slot.

use ort::session::SessionInputValue;
use ort::value::DynValue;

use super::error::GraphError;
use super::graph::Graph;
use super::tensor;
use crate::device::CacheRow;

/// Keys and values of every layer that has some of its own, for a number of rows. Stays inside ONNX
/// Runtime.
pub struct KvCache {
    /// One a slot; may hold more rows than `pads` counts, the first ones count.
    values: Vec<DynValue>,
    /// Columns on the left of each row that are padding.
    pads: Vec<usize>,
    columns: usize,
}

impl KvCache {
    /// The cache of `rows` sequences of no tokens; `values` have no columns.
    pub(super) fn empty(values: Vec<DynValue>, rows: usize) -> Self {
        Self { values, pads: vec![0; rows], columns: 0 }
    }

    /// How many sequences it holds.
    pub fn rows(&self) -> usize {
        self.pads.len()
    }

    /// Columns of every row, padding included.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Tokens of a row.
    pub fn length(&self, row: usize) -> usize {
        self.columns - self.pads[row]
    }

    /// Columns on the left of each row that are padding.
    pub(super) fn pads(&self) -> &[usize] {
        &self.pads
    }

    /// The inputs of the slots, in their order.
    pub(super) fn feeds(&self, graph: &Graph) -> Result<Vec<SessionInputValue<'_>>, GraphError> {
        self.values.iter().map(|value| tensor::first_rows(graph, value, self.rows())).collect()
    }

    /// Takes the decoder's outputs in place of what was fed: `sequence` columns more.
    pub(super) fn grow(&mut self, values: Vec<DynValue>, sequence: usize) {
        self.values = values;
        self.columns += sequence;
    }

    /// Drops a row; the last one takes its place.
    ///
    /// # Errors
    /// [`GraphError`] if ONNX Runtime does not hand out the data.
    pub(super) fn swap_remove(&mut self, graph: &Graph, row: usize) -> Result<(), GraphError> {
        let last = self.rows() - 1;
        if graph.resident.is_some() {
            let mut left: Vec<usize> = (0..last).collect();
            if let Some(place) = left.get_mut(row) {
                *place = last;
            }
            let rows: Vec<_> =
                left.into_iter().map(|row| (&*self, row, self.length(row))).collect();
            *self = Self::of_rows(graph, &rows)?;
            return Ok(());
        }
        if row != last {
            for value in &mut self.values {
                let size: usize = tensor::shape(value)[1..].iter().product();
                tensor::copy_within(
                    graph,
                    value,
                    std::iter::once((last * size..(last + 1) * size, row * size)),
                )?;
            }
        }
        self.pads.swap_remove(row);
        Ok(())
    }

    /// Takes tokens away from the ends of rows, `(row, count)`: what is left of them moves to the
    /// right.
    ///
    /// # Errors
    /// [`GraphError`] if ONNX Runtime does not hand out the data.
    pub(super) fn rewind(
        &mut self,
        graph: &Graph,
        rows: &[(usize, usize)],
    ) -> Result<(), GraphError> {
        if rows.is_empty() {
            return Ok(());
        }
        if graph.resident.is_some() {
            let taken = |row| {
                rows.iter().filter(|(of, _)| *of == row).map(|(_, count)| count).sum::<usize>()
            };
            let left: Vec<_> =
                (0..self.rows()).map(|row| (&*self, row, self.length(row) - taken(row))).collect();
            *self = Self::of_rows(graph, &left)?;
            return Ok(());
        }
        for &(row, count) in rows {
            let (from, to) = (self.pads[row], self.columns - count);
            for value in &mut self.values {
                let shape = tensor::shape(value);
                let (heads, columns, size) = (shape[1], shape[2], shape[3]);
                let moves = (0..heads).map(|head| {
                    let start = (row * heads + head) * columns;
                    ((start + from) * size..(start + to) * size, (start + from + count) * size)
                });
                tensor::copy_within(graph, value, moves)?;
            }
            self.pads[row] += count;
        }
        Ok(())
    }

    /// A cache of rows of others, each with its given number of first tokens, in that order; a row
    /// may occur several times.
    ///
    /// # Errors
    /// [`GraphError`] if ONNX Runtime has no memory for it.
    pub(super) fn of_rows(
        graph: &Graph,
        rows: &[(&Self, usize, usize)],
    ) -> Result<Self, GraphError> {
        let columns = rows.iter().map(|(.., length)| *length).max().unwrap_or(0);
        let pads = rows.iter().map(|(.., length)| columns - length).collect();
        let slots = rows.first().map_or(0, |(cache, ..)| cache.values.len());
        let mut values = Vec::with_capacity(slots);
        for slot in 0..slots {
            let shape = tensor::shape(&rows[0].0.values[slot]);
            let (heads, size) = (shape[1], shape[3]);
            let mut joined =
                tensor::like(graph, &rows[0].0.values[slot], &[rows.len(), heads, columns, size])?;
            if let Some(resident) = &graph.resident {
                let taken = rows.iter().map(|&(cache, row, length)| CacheRow {
                    cache: &cache.values[slot],
                    row,
                    first: cache.pads[row],
                    length,
                });
                let taken: Vec<_> = taken.collect();
                resident.memory.gather(&taken, &mut joined).map_err(|error| graph.device(error))?;
                values.push(joined);
                continue;
            }
            for (place, (cache, row, length)) in rows.iter().enumerate() {
                let pad = cache.pads[*row];
                let moves = (0..heads).map(|head| {
                    let from = (row * heads + head) * cache.columns + pad;
                    let to = (place * heads + head) * columns + columns - length;
                    (from * size..(from + length) * size, to * size)
                });
                tensor::copy_between(graph, &cache.values[slot], &mut joined, moves)?;
            }
            values.push(joined);
        }
        Ok(Self { values, pads, columns })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::device::kernels::{GatherRow, reference};
    use crate::model::{Dtypes, GraphFiles, Model, OpenOptions};
    use crate::onnxruntime::{self, RuntimeOptions};
    use crate::prompt::Prompter;

    /// The card's kernel, by its reference implementation: rows that join, one that leaves, and one
    /// whose last tokens are removed.
    #[test]
    fn the_kernels_rows_are_those_of_the_cache() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo-model");
        let runtime =
            onnxruntime::load(&RuntimeOptions::from_env(None, false), &mut |_| {}).unwrap();
        let prompter = Prompter::open(&directory).unwrap();
        let special = &prompter.tokenizer.special;
        let graphs = GraphFiles::find(&directory, &Dtypes::default()).unwrap();
        let mut model =
            Model::open(&directory, graphs, special, runtime, &OpenOptions::default()).unwrap();
        let mut made = Vec::new();
        for ids in [&[2_i64, 5, 6, 5, 9][..], &[2, 9, 7][..]] {
            let mut cache = model.empty_cache(1).unwrap();
            model.decode(ids, &[], &mut cache).unwrap();
            made.push(cache);
        }
        let slots = made[0].values.len();
        let all = |model: &Model, cache: &KvCache| -> Vec<(Vec<u32>, [usize; 3])> {
            let graph = &model.decoder.graph;
            let values = cache.values.iter().map(|value| {
                let shape = tensor::shape(value);
                let bits = tensor::all(graph, "cache", value)
                    .unwrap()
                    .iter()
                    .map(|value| value.to_bits())
                    .collect();
                (bits, [shape[1], shape[2], shape[3]])
            });
            values.collect()
        };
        let expect = |sources: &[&KvCache], rows: &[GatherRow], there: &KvCache| {
            let (from, there) = (
                sources.iter().map(|cache| all(&model, cache)).collect::<Vec<_>>(),
                all(&model, there),
            );
            for slot in 0..slots {
                let sources: Vec<(&[u32], usize)> =
                    from.iter().map(|slots| (slots[slot].0.as_slice(), slots[slot].1[1])).collect();
                let (values, shape) = &there[slot];
                let gathered = reference::gather(&sources, rows, *shape);
                assert!(gathered == values[..gathered.len()], "slot {slot}");
            }
        };
        let whole = |source, row, first, length| GatherRow { source, row, first, length };
        let rows = [whole(1, 0, 0, 3), whole(0, 0, 0, 5), whole(1, 0, 0, 3)];
        let mut joined = model.join_rows(&[(&made[1], 0), (&made[0], 0), (&made[1], 0)]).unwrap();
        expect(&[&made[0], &made[1]], &rows, &joined);

        let before = model.join_rows(&[(&joined, 0), (&joined, 1), (&joined, 2)]).unwrap();
        model.remove_row(&mut joined, 0).unwrap();
        expect(&[&before], &[whole(0, 2, 2, 3), whole(0, 1, 0, 5)], &joined);

        model.rewind_rows(&mut joined, &[(1, 2)]).unwrap();
        // The kernel writes zeros into the padding on a row's left; the CPU leaves the old values.
        let rewound = model.join_rows(&[(&joined, 1)]).unwrap();
        expect(&[&before], &[whole(0, 1, 0, 3)], &rewound);
    }
}
