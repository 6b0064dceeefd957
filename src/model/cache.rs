//! The KV cache of several sequences that are decoded together.
//!
//! In: what the decoder gave as `present`. Out: what it takes as `past`, `[rows, heads, columns, head size]` a slot. Promises: the tokens of
//! every row end in the last column and have no gaps, so whatever stands on a row's left is padding; what does not move is not copied: a row
//! that leaves costs the copy of one row, a row that is moved costs itself, and only rows that join cost the copy of all.

use ort::session::SessionInputValue;
use ort::value::DynValue;

use super::graph::{Graph, GraphError};
use super::tensor;

/// Keys and values of every layer that has some of its own, for a number of rows. Stays inside ONNX Runtime.
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

    /// What the slots are fed with, in their order.
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
    /// [`GraphError`] where ONNX Runtime does not hand out the data.
    pub(super) fn swap_remove(&mut self, graph: &Graph, row: usize) -> Result<(), GraphError> {
        let last = self.rows() - 1;
        if row != last {
            for value in &mut self.values {
                let size: usize = tensor::shape(value)[1..].iter().product();
                tensor::copy_within(graph, value, std::iter::once((last * size..(last + 1) * size, row * size)))?;
            }
        }
        self.pads.swap_remove(row);
        Ok(())
    }

    /// Takes the last `count` tokens of a row away: what is left of it moves to the right.
    ///
    /// # Errors
    /// [`GraphError`] where ONNX Runtime does not hand out the data.
    pub(super) fn rewind(&mut self, graph: &Graph, row: usize, count: usize) -> Result<(), GraphError> {
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
        Ok(())
    }

    /// A cache of rows of others, each with its first so many tokens, in that order; a row may stand there several times.
    ///
    /// # Errors
    /// [`GraphError`] where ONNX Runtime has no memory for it.
    pub(super) fn of_rows(graph: &Graph, rows: &[(&Self, usize, usize)]) -> Result<Self, GraphError> {
        let columns = rows.iter().map(|(.., length)| *length).max().unwrap_or(0);
        let pads = rows.iter().map(|(.., length)| columns - length).collect();
        let slots = rows.first().map_or(0, |(cache, ..)| cache.values.len());
        let mut values = Vec::with_capacity(slots);
        for slot in 0..slots {
            let shape = tensor::shape(&rows[0].0.values[slot]);
            let (heads, size) = (shape[1], shape[3]);
            let mut joined = tensor::zeros_like(graph, &rows[0].0.values[slot], &[rows.len(), heads, columns, size])?;
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
